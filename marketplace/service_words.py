"""What the distributor and the aggregator say when they refuse, in the reader's language.

They know no translation and answer in English. Where a page shows what they said (why a job or a round ended, why a wallet could not be
told something), the sentence is recognised by the pattern it was made from.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop as noop

from collectives.phrases import Phrases

PATTERNS = (
    # either
    noop("There is no such round."),
    noop("A later round exists; rounds only go forward."),
    noop("The body is too large."),
    noop("The body is not JSON."),
    noop("The body must be a JSON object."),
    noop("The role %(role)s may not call this."),
    noop("%(name)s must be %(length)s bytes in lowercase hex."),
    noop("%(name)s must be base64."),
    noop("%(name)s must be an integer from %(low)s to %(high)s."),
    noop("%(name)s must be text of at most %(longest)s characters."),
    noop("%(name)s must be a UUID."),
    noop("%(name)s must be a decimal string of base units."),
    noop("%(name)s must be true or false."),
    noop("%(name)s must be one of %(values)s."),
    noop("%(name)s must be a list of base64 texts."),
    noop("The service answered %(status)s."),
    # the distributor: jobs, rounds
    noop("There is no such job."),
    noop("There is no such job; create it first."),
    noop("This job belongs to another collective."),
    noop("This job was announced with another text."),
    noop("The job has ended."),
    noop("The announcement must be a signed envelope of at most 32 KiB."),
    noop("The announcement names another job or collective."),
    noop("The announcement names another cohort commitment than the one given out."),
    noop("task_body is not a task with an aggregation header."),
    noop("The task's manifest must be 32 bytes and its expiry unix seconds."),
    noop("This round was opened with another task."),
    noop("The job is %(state)s; a round needs a frozen enrolment log."),
    noop("minimum must not exceed cohort and max_deliveries."),
    noop("The task's header belongs to another job or round."),
    noop("The task's header names another enrolment log than the frozen one."),
    noop("The task's header names another distributor key."),
    noop("The aggregator does not answer."),
    noop("The aggregator does not answer; the call is repeated later."),
    noop("The aggregator answered %(status)s; the call is repeated later."),
    noop("The aggregator's answer is not JSON."),
    # the distributor: mailboxes, subscriptions, notices
    noop("There is no such mailbox; pair the wallet again."),
    noop("There is no mail with this reference."),
    noop("There is no such notice."),
    noop("A mailbox moves to another key than its own."),
    noop("A mail holds at most %(most)s bytes."),
    noop("This reference was used for another mail."),
    noop("A notice holds at most %(most)s bytes."),
    noop("This notice was sent with another text."),
    noop("This subscription key serves another collective; use a fresh key."),
    noop("This subscription was stopped; subscribe again with a fresh key."),
    noop("subscribers must be an object of 1 to %(most)s subscriptions by their keys."),
    noop("A subscription must be an object with terms_hash and expires."),
    noop("envelope must be a signed document."),
    # the aggregator: logs, rounds
    noop("The distributor has not signed this yet."),
    noop("This job's log was frozen with other members."),
    noop("The log root does not belong to these enrolments."),
    noop("The log root is not signed by the distributor."),
    noop("An enrolment is refused: %(why)s"),
    noop("The members of this job are not known yet; try again later."),
    noop("This round was opened with other parameters."),
    noop("An earlier round of this job is still running; end it first."),
    noop("The job was enrolled for another algorithm."),
    noop("This server does not allow lowered minima."),
    noop("No header can be made of this: %(why)s"),
    noop("The round is over."),
    noop("Another cohort was named for this round."),
    noop("The cohort names a job key that is not in the frozen log."),
    noop("phase_seconds must name %(phases)s."),
    noop("tickets must hold one ticket for every job key."),
    noop("wait is a number of seconds."),
    noop("There is no such round at the aggregator."),
    noop("A round that is %(here)s cannot become %(there)s."),
    noop("The round has no sum to collect."),
    noop("The sum of this round went into another checkpoint."),
    # the aggregator: exclusions, epochs, sales
    noop("This wallet is not excluded; there is nothing to appeal against."),
    noop("This appeal was decided already."),
    noop("Say why: the wallet's holder is told the reason."),
    noop("There is no such exclusion."),
    noop("This was decided already."),
    noop("A later epoch was closed; epochs only go forward."),
    noop("This epoch is not closed yet."),
    noop("This sale was stated in an earlier epoch."),
    noop("The key of epoch %(epoch)s is missing."),
    noop("The key of epoch %(epoch)s does not open what is kept."),
    noop("No visits are kept for this job, so there is nobody to split among."),
    noop("final_jobs must be a list of job ids."),
    noop("keep must be a list of job ids."),
    noop("A sale has sale_id, job_id, amount, and keys by epoch."),
)
KNOWN = Phrases(PATTERNS, inner=("why",))
