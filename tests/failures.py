"""The failure table: what may go wrong, and what holds all the same. `test_failures.py` keeps it covered."""

from typing import NamedTuple


class Failure(NamedTuple):
    """Say in two short sentences what goes wrong and what we promise in spite of it."""

    fault: str
    guarantee: str


FAILURES: dict[int, Failure] = {
    # Sign-up, commit and publish
    1: Failure(
        "A transaction is rolled back after it saved a user.",
        "The row goes with it; nothing was published or sent before the commit.",
    ),
    2: Failure(
        "The process is killed between the commit and its callback.",
        "The row was committed with the user, and the sweep finds it.",
    ),
    3: Failure(
        "The broker refuses, or its name cannot be looked up.",
        "The sign-up succeeds, and everybody is linked later.",
    ),
    4: Failure(
        "The broker accepts a connection and never answers.",
        "One sign-up waits at most a moment; then this process publishes nothing for 30 s.",
    ),
    5: Failure(
        "The callback of another app raises, and ours never runs.",
        "The row is there, and the sweep sees to it.",
    ),
    6: Failure(
        "bulk_create, update() or raw SQL pass the signals by.",
        "The sweep makes the missing rows of a covered account, and compares all users within a day.",
    ),
    7: Failure(
        "A row waits for longer than anything is kept.",
        "A row is never pruned and never expires; it is sent when that is possible again.",
    ),
    8: Failure(
        "Fixtures are loaded under a live key.",
        "A raw save makes no row, so nothing is sent before a person runs the backfill.",
    ),
    9: Failure(
        "Two processes make the row of one user at once.",
        "One row comes of it, and neither hears of the other.",
    ),
    10: Failure(
        "A router sends our rows to another database than the users.",
        "A check says that this is an error.",
    ),
    # Broker
    11: Failure(
        "The broker forgets its queue.",
        "Nobody is lost, because a message is only a hint.",
    ),
    12: Failure(
        "A worker dies after it took a message and before it noted so.",
        "Nobody is lost, because a message is only a hint.",
    ),
    13: Failure(
        "A message comes again while the first one is being worked on.",
        "The account's lease is held, so the second one ends at once and sends nothing.",
    ),
    14: Failure(
        "One message is delivered fifty times.",
        "A row is claimed by one worker, so each customer is created once.",
    ),
    15: Failure(
        "A message with a date would be run again and again.",
        "No message has one; the row says when it is due.",
    ),
    16: Failure(
        "A worker loses its broker in the middle of a call.",
        "The message is not delivered again, and the customer is created once.",
    ),
    17: Failure(
        "Old messages pile up while no worker runs.",
        "A message ends after ten minutes, and one that does not finds nothing due.",
    ),
    # Worker
    18: Failure(
        "A pool's child is killed in a call.",
        "Its leases run out, and the next drain looks up what became of the call.",
    ),
    19: Failure(
        "A whole worker is killed in a call.",
        "Another one takes over when the leases have run out.",
    ),
    20: Failure(
        "A deployment asks a worker to end in a call.",
        "It finishes the call, notes the answer and ends.",
    ),
    21: Failure(
        "A worker stands still for longer than its lease, and goes on.",
        "It can neither send nor write what the lease covered.",
    ),
    22: Failure(
        "A function of the site raises for one user.",
        "That row alone is tried later and in the end parked; the others are sent.",
    ),
    23: Failure(
        "One row kills every process that works on it.",
        "It is claimed alone, waits longer each time and is parked after five lost leases.",
    ),
    24: Failure(
        "The pool has threads or none at all, and no time limits.",
        "Calls have a deadline of their own, and the same work is done.",
    ),
    25: Failure(
        "A fork inherits an open connection.",
        "A child opens its own, and an answer about somebody else is not believed.",
    ),
    # Sweep and schedule
    26: Failure(
        "Two sweeps run at once.",
        "They make one row for each user, and each customer is created once.",
    ),
    27: Failure(
        "Nothing runs the sweep any more.",
        "The time of the last one is kept, and status and doctor say that it is overdue.",
    ),
    28: Failure(
        "Rows that fail are always due first.",
        "New sign-ups go before them, and one claim in ten begins with the lowest class.",
    ),
    29: Failure(
        "A sweep is killed in the middle.",
        "What it wrote stays, it holds no lock, and the next one does the rest.",
    ),
    # Sending
    30: Failure(
        "The service's name cannot be looked up.",
        "Nothing was sent, so nothing is ambiguous; it is tried later and no address is told.",
    ),
    31: Failure(
        "The service refuses the connection, or nobody answers.",
        "Nothing was sent, so nothing is ambiguous; it is tried later.",
    ),
    32: Failure(
        "The certificate or the protocol is not to be trusted.",
        "Nothing is sent, the gate closes, and no setting looks away.",
    ),
    33: Failure(
        "The connection breaks after the service has worked.",
        "The row is uncertain; the customer is looked up and adopted.",
    ),
    34: Failure(
        "The process is killed between a request and its answer.",
        "The intent was written first; the customer is looked up and adopted.",
    ),
    35: Failure(
        "An answer drips.",
        "The whole call ends at its deadline.",
    ),
    36: Failure(
        "A redirect leads to another host and would take the data there.",
        "It is not followed, and the gate closes.",
    ),
    37: Failure(
        "A redirect would turn the create into a list that is answered with 200.",
        "It is not followed; only an answer with the customer's id counts.",
    ),
    38: Failure(
        "The host has a .netrc for the service.",
        "It is not read; the key of the settings is sent.",
    ),
    39: Failure(
        "The environment names a proxy, a certificate bundle or a file for secrets.",
        "It is ignored unless TRUST_ENV says otherwise.",
    ),
    40: Failure(
        "The service has closed a connection that was kept open.",
        "A create never goes over a connection that has rested for long.",
    ),
    # Receiving
    41: Failure(
        "A body has no end, or unpacks into one.",
        "No encoding is asked for or read, and a body ends at one mebibyte.",
    ),
    42: Failure(
        "An answer to a create stops half-way.",
        "The row is uncertain; the customer is looked up.",
    ),
    43: Failure(
        "An answer is no JSON, or JSON that breaks a parser.",
        "It becomes an error of ours, and the row is uncertain.",
    ),
    44: Failure(
        "An answer is about another user, mode or organization.",
        "It is not believed, and the gate closes.",
    ),
    45: Failure(
        "An answer lacks keys, has others, or has wrong types.",
        "What identifies a customer is read strictly, the rest leniently, in both spellings.",
    ),
    46: Failure(
        "A 429 says in its own way how long to wait.",
        "Every form is read and capped; the whole account waits, and no worker sleeps.",
    ),
    47: Failure(
        "The service fails often, sometimes after it has worked.",
        "A 5xx proves nothing; the row is looked up, and five in a row close the gate.",
    ),
    48: Failure(
        "The key is refused.",
        "The account's gate closes, nobody's attempts are charged, and a probe opens it again.",
    ),
    49: Failure(
        "The customer of a linked user is not found.",
        "It is asked for again later; then the link is a conflict, and nothing is created.",
    ),
    50: Failure(
        "A create is refused because the customer already exists.",
        "It is looked up by its reference and adopted.",
    ),
    51: Failure(
        "A stranger's customer has the user's address.",
        "It is adopted only with proof; otherwise a person decides.",
    ),
    52: Failure(
        "An address is taken, and nobody can be found who has it.",
        "After a second try a person decides.",
    ),
    53: Failure(
        "The search drops or shortens its filter.",
        "Every row found is compared exactly; what the filter cannot hold is not searched for.",
    ),
    54: Failure(
        "The search finds two customers of one reference.",
        "Neither is picked; a person sees both ids.",
    ),
    55: Failure(
        "The search does not show yet what was created.",
        "The row stays uncertain and is looked up again.",
    ),
    # Writing back
    56: Failure(
        "The database goes down before the answer is noted.",
        "The intent is there; a later look-up adopts the customer.",
    ),
    57: Failure(
        "The database comes back as it was before the last commits.",
        "A create that is refused because it was made before is looked up, and that customer is linked.",
    ),
    58: Failure(
        "An old change arrives after a newer one.",
        "A lost lease asks for a comparison, and so do thirty days.",
    ),
    59: Failure(
        "SQLite is locked.",
        "Each write takes the lock at its beginning and is tried again.",
    ),
    60: Failure(
        "The database's session has another time zone.",
        "The rows' times are in one zone, whatever the session says.",
    ),
    61: Failure(
        "A database ignores conditional constraints or the case of letters.",
        "Constraints are plain, and references have small letters and digits.",
    ),
    62: Failure(
        "A transaction reads what is no longer so.",
        "What is decided stands in the UPDATE's own condition.",
    ),
    63: Failure(
        "A drain is started inside a transaction.",
        "It refuses before it asks or sends anything.",
    ),
    64: Failure(
        "The database ends a session between two steps.",
        "Nothing lives in a session, and the next step opens another.",
    ),
    # Data
    65: Failure(
        "A user is deleted while the answer is awaited.",
        "The row stays; what is uncertain is cleared up first, then erased if the site wants it.",
    ),
    66: Failure(
        "An address changes while a create is open.",
        "The create keeps the address it began with; the change follows.",
    ),
    67: Failure(
        "Two users have one address in two spellings.",
        "They never share a customer; the second is a conflict.",
    ),
    68: Failure(
        "Two users swap their addresses.",
        "After a few tries both ids are shown to a person.",
    ),
    69: Failure(
        "A database is copied to another site, or a primary key is used again.",
        "A copy that is recognised sends nothing, and no reference is made of a key.",
    ),
    70: Failure(
        "A user's data is nothing that the service accepts.",
        "It is checked before it is sent, rejected with a reason, and tried when it changes.",
    ),
    # Clocks and configuration
    71: Failure(
        "A worker's clock is wrong or jumps.",
        "Rows go by the database's clock, deadlines by a monotonic one.",
    ),
    72: Failure(
        "The key becomes one of the other mode or of another organization.",
        "Nobody of the first is touched; where the service shows the difference the gate closes.",
    ),
    73: Failure(
        "The key or the address of the service is missing or nonsense.",
        "A check says so without showing it, and the rows wait.",
    ),
    # People, upgrades, scale and privacy
    74: Failure(
        "The admin, the sweep and two workers want the same rows at once.",
        "Edges only mark; one drainer sends, and each customer is created once.",
    ),
    75: Failure(
        "A bulk action meets very many rows, or somebody who may only look.",
        "It marks in a few statements, needs its permission and a POST, and is logged.",
    ),
    76: Failure(
        "Old and new code run side by side on one schema.",
        "Migrations only add, and a state of a newer version is left alone.",
    ),
    77: Failure(
        "The service is away for hours, and comes back to many users.",
        "It is probed with little, then sent to gently; nobody was given up.",
    ),
    78: Failure(
        "Somebody reads the logs, the tasks and the errors.",
        "They hold keys of rows and codes, and nothing about a person.",
    ),
}
