// Follow the status while it is still moving: fetch this page, and swap the panel when its words have changed.
// The panel is a live region, so a screen reader hears the news; nothing moves the focus or reloads the page.
"use strict";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15000;

let wait = FIRST_WAIT;

function panel() {
  return document.getElementById("kohort-status");
}

function isMoving() {
  return panel().hasAttribute("data-refreshes");
}

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(window.location.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("kohort-status");
      if (fresh && fresh.innerHTML !== panel().innerHTML) {
        show(fresh);
        wait = FIRST_WAIT;
      }
    } catch {
      // Offline, logged out or a server that restarts: the next look may succeed.
    }
  }
  later();
}

// The live region itself stays in the page; a region that is replaced is often not read out.
function show(fresh) {
  panel().dataset.state = fresh.dataset.state;
  panel().toggleAttribute("data-refreshes", fresh.hasAttribute("data-refreshes"));
  panel().replaceChildren(...fresh.childNodes);
}

function later() {
  if (!isMoving()) return;
  window.setTimeout(look, wait);
  wait = Math.min(wait * 1.5, LONGEST_WAIT);
}

later();
