"""Defects of what makes the archive complete by itself: poison, restored databases, observed acknowledgements."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

POISON = "tests/machine/test_matrix_26_poison.py"
WINDOWS = "tests/machine/test_matrix_26_list_windows.py"
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
        "if self.suspicion.failed(batch, self.clock.monotonic()):",
        "if self.suspicion.failed(batch, self.clock.monotonic()) and batch.size < 1:",
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
        ("tests/remote/test_remote_calls.py::test_only_a_failure_during_the_call_raises_call_failed",),
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
    Mutant(
        "outage-narrows",
        "windows are narrowed though no other list is answered",
        "machine/listing/narrowing.py",
        "if self.answers > failures.answers or (failures.in_row > 1 and probe()):",
        "if self.answers >= failures.answers or (failures.in_row > 1 and probe()):",
        (f"{WINDOWS}::test_row_26_an_outage_narrows_nothing",),
    ),
    Mutant(
        "narrowed-without-end",
        "an account that may not list is searched second by second",
        "machine/listing/narrowing.py",
        "return self._in_vain <= MOST_IN_VAIN and self._narrowed <= MOST_NARROWED",
        "return self._in_vain <= 99 * MOST_IN_VAIN",
        (f"{WINDOWS}::test_row_26_an_account_that_may_not_list_is_not_searched_to_the_second",),
    ),
    Mutant(
        "gap-is-complete",
        "documents of a second that is not listed count as withdrawn",
        "machine/listing/cycle.py",
        "        task.area.complete = False\n        gap = Gap(",
        "        gap = Gap(",
        (f"{WINDOWS}::test_row_26_documents_near_a_gap_do_not_count_as_withdrawn",),
    ),
    Mutant(
        "gaps-forgotten",
        "a second that is not listed is searched for in every cycle",
        "machine/listing/cycle.py",
        "_tasks(self._scope, self._known_gaps())",
        "_tasks(self._scope, self._known_gaps()[:0])",
        (f"{WINDOWS}::test_row_26_a_known_gap_costs_few_calls",),
    ),
    Mutant(
        "gaps-stay",
        "a second that is listed again is still shown as missing",
        "archive/cycles.py",
        "elif any(one.contains(window) for one in record.covered):",
        "elif any(one.contains(window) for one in record.covered[:0]):",
        (f"{WINDOWS}::test_row_26_a_second_that_is_not_listed_is_shown_and_is_an_alarm",),
    ),
    Mutant(
        "holes-too-large",
        "a neighbour of a second that is not listed is not listed either",
        "terms.py",
        "            end = min(end, hole.start - self.grain)\n",
        "            end = min(end, hole.start - 2 * self.grain)\n",
        (f"{WINDOWS}::test_what_is_left_around_gaps_misses_no_second",),
    ),
)
