"""Reading: what is believed of a list, what is taken over, and what a run remembers."""

from tests.mutants.mutant import Mutant

_PARTS = "kohort_sync/reconcile/parts.py"
_MIRRORING = "kohort_sync/reconcile/mirroring.py"
_RELINKING = "kohort_sync/reconcile/relinking.py"
_RUNS = "kohort_sync/reconcile/runs.py"
_WALKING = "kohort_sync/drainer/walking.py"
_VERB = "kohort_sync/management/verbs/reconcile.py"

_IN_DIFFERENCES = "tests/reconcile/test_differences.py::test"
_IN_PARTS = "tests/reconcile/test_parts.py::test"
_IN_READING = "tests/reconcile/test_reading.py::test"
_IN_RELINKING = "tests/reconcile/test_relinking.py::test"
_IN_VERB = "tests/edges/commands/test_reconcile.py::test"

MUTANTS = (
    Mutant(
        name="a row out of place is believed",
        module=_PARTS,
        old="if any(low >= high for low, high in pairwise([self.after, *page.ids])):",
        new="if False:",
        caught_by=(f"{_IN_PARTS}_a_row_out_of_place_is_not_believed",),
    ),
    Mutant(
        name="changes that are older than was asked for are believed",
        module=_PARTS,
        old="if any(moment is None or moment < since for moment in moments):",
        new="if False:",
        caught_by=(f"{_IN_PARTS}_a_change_before_what_was_asked_for_is_not_believed",),
    ),
    Mutant(
        name="a short page is the end",
        module=_PARTS,
        old="self.done = not page.ids or bool(self.until",
        new="self.done = len(page.ids) < PAGE_SIZE or bool(self.until",
        caught_by=(f"{_IN_PARTS}_ranges_read_each_customer_once",),
    ),
    Mutant(
        name="an older page undoes a push",
        module=_MIRRORING,
        old="if is_nobodys or (updated_at and told_at and updated_at > told_at):",
        new="if is_nobodys:",
        caught_by=(f"{_IN_READING}_what_a_push_wrote_meanwhile_stays",),
    ),
    Mutant(
        name="the data of whoever is erased comes back",
        module=_MIRRORING,
        old="is_nobodys = bool(link) and (",
        new="is_nobodys = False and (",
        caught_by=(f"{_IN_READING}_nothing_comes_back_about_whoever_is_gone_or_erased",),
    ),
    Mutant(
        name="how far it has got is not written down",
        module=_WALKING,
        old='progress["parts"][page.at] = page.part',
        new="pass",
        caught_by=(f"{_IN_READING}_a_run_goes_on_where_it_stopped",),
    ),
    Mutant(
        name="nothing else goes first",
        module=_WALKING,
        old="if not self.renew() or self._is_other_work_due() or",
        new="if not self.renew() or",
        caught_by=(f"{_IN_READING}_whatever_else_is_due_goes_first",),
    ),
    Mutant(
        name="a host's function that kills is met for ever",
        module=_WALKING,
        old="if not self._save(after=compared[-1].pk):",
        new='self._progress["after"] = compared[-1].pk\n            if False:',
        caught_by=(f"{_IN_DIFFERENCES}_a_function_of_the_host_that_kills_the_process_is_met_once",),
    ),
    Mutant(
        name="an answer that nobody understands closes the gate",
        module=_WALKING,
        old="if isinstance(error, _CONCERNS_THE_ACCOUNT):",
        new="if True:",
        caught_by=(f"{_IN_READING}_an_answer_that_nobody_understands_ends_the_run_and_stops_no_user",),
    ),
    Mutant(
        name="a report alone sends all the same",
        module=_WALKING,
        old='if not self.run.scope["report_only"]:',
        new="if True:",
        caught_by=(f"{_IN_DIFFERENCES}_a_thousand_changes_behind_the_apps_back_are_each_told_once",),
    ),
    Mutant(
        name="a run that is called off goes on",
        module=_RUNS,
        old="rows.filter(cancel_requested=False).update(**columns)",
        new="rows.update(**columns)",
        caught_by=(f"{_IN_READING}_a_run_that_is_called_off_ends",),
    ),
    Mutant(
        name="a run that is closed is written over",
        module=_RUNS,
        old="rows = SyncRun.objects.using(using).filter(pk=run.pk, finished_at=None)\n    with writing",
        new="rows = SyncRun.objects.using(using).filter(pk=run.pk)\n    with writing",
        caught_by=(f"{_IN_READING}_a_run_that_another_process_has_closed_stays_as_it_is",),
    ),
    Mutant(
        name="customers are relinked without a look at the address",
        module=_RELINKING,
        old="if customer.email_address and customer.email_address == _address(user):",
        new="if customer.email_address:",
        caught_by=(f"{_IN_RELINKING}_what_does_not_fit_byte_for_byte_is_left",),
    ),
    Mutant(
        name="whoever was left out is relinked",
        module=_RELINKING,
        old="if user is None or (link is not None and link.state not in _FREE):",
        new="if user is None:",
        caught_by=(f"{_IN_RELINKING}_whoever_was_linked_or_left_out_stays_so",),
    ),
    Mutant(
        name="a cell of a table runs as a formula",
        module=_VERB,
        old="""return f"'{value}" if""",
        new='return f"{value}" if',
        caught_by=(f"{_IN_VERB}_a_formula_stays_a_text",),
    ),
)
