"""Defects of what makes the archive complete by itself: poison, restored databases, observed acknowledgements."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

POISON = "tests/machine/test_matrix_26_poison.py"
SUSPICION = "tests/machine/test_machine_suspicion.py"

COMPLETENESS = (
    Mutant(
        "outage-counted",
        "failures count against a batch though nothing else is answered",
        "machine/suspicion.py",
        "failing.counted += calls.answers > failing.answers",
        "failing.counted += 1",
        (
            f"{SUSPICION}::test_while_nothing_is_answered_nothing_is_singled_out",
            f"{POISON}::test_row_26_an_outage_splits_nothing_and_counts_nothing",
        ),
    ),
    Mutant(
        "one-answer-counts-for-ever",
        "one answer to another call makes all later failures count",
        "machine/suspicion.py",
        "            failing.answers = calls.answers\n",
        "",
        (f"{SUSPICION}::test_what_is_answered_once_counts_once",),
    ),
    Mutant(
        "never-singled-out",
        "a batch that alone fails is tried for ever as it is",
        "machine/failed_calls.py",
        "if self._suspicion.failed(batch, self._clock.monotonic()):",
        "if self._suspicion.failed(batch, self._clock.monotonic()) and batch.size < 1:",
        (f"{POISON}::test_row_26_of_a_hundred_documents_ninety_nine_are_home_within_minutes",),
    ),
    Mutant(
        "never-probed",
        "an account's only batch fails, and no other call is made to see whether the service answers",
        "machine/failed_calls.py",
        "                self._probe(account)\n",
        "                pass\n",
        (f"{POISON}::test_row_26_of_a_hundred_documents_ninety_nine_are_home_within_minutes",),
    ),
    Mutant(
        "probes-in-an-outage",
        "a silent service is probed at every failure",
        "machine/suspicion.py",
        "            if now < calls.probe_from:\n                return False\n",
        "",
        (f"{SUSPICION}::test_probes_of_a_service_that_is_silent_become_rare",),
    ),
    Mutant(
        "judged-without-proof",
        "a call that works for nobody splits every batch",
        "machine/suspicion.py",
        "        calls.unproven[state] = unproven + 1\n",
        "",
        (f"{SUSPICION}::test_without_a_success_of_that_call_one_batch_is_singled_out_after_ever_longer_pauses",),
    ),
    Mutant(
        "halves-forget-each-other",
        "a half that came through says nothing of the other one",
        "machine/suspicion.py",
        "self._split.get((batch.root_id, batch.state), calls.successes.get(batch.state, 0))",
        "calls.successes.get(batch.state, 0)",
        (f"{SUSPICION}::test_a_half_that_came_through_speaks_against_the_other_one_whichever_was_first",),
    ),
    Mutant(
        "login-blames-the-batch",
        "a login that fails speaks against the batch that needed it",
        "remote/api_client.py",
        "        except CallFailed as failed:\n            raise ServiceUnavailable(",
        "        except CallFailed as failed:\n            raise CallFailed(",
        ("tests/remote/test_remote_calls.py::test_a_failure_of_the_login_is_not_a_failure_of_the_call",),
    ),
    Mutant(
        "503-blames-the-batch",
        "a service that says it is unavailable counts as failing over one call",
        "remote/reply.py",
        "if status >= 500 and status != 503",
        "if status >= 500",
        ("tests/remote/test_remote_calls.py::test_only_a_service_that_breaks_down_over_a_call_blames_it",),
    ),
    Mutant(
        "marked-before-it-failed",
        "a mark that was set before the call failed is not believed",
        "machine/batch_effects.py",
        "                if self._is_marked(service, claim, account):\n"
        '                    return _performed(BatchHappened.ACCEPTED, "it was marked already")\n        return',
        "                pass\n        return",
        (f"{POISON}::test_row_26_a_mark_that_was_set_before_the_call_failed_is_believed",),
    ),
)
