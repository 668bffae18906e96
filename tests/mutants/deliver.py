"""Defects of deliveries: a file lost, replaced, shown in part, or under the wrong name."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

EVERY = "tests/deliver/test_every_put_sink.py"
FOLDER = "tests/deliver/test_folder_sink.py"
NAMES = "tests/deliver/test_names_at_a_sink.py"
DELIVERY = "tests/deliver/test_delivery.py"
RENAME = "tests/deliver/test_exclusive_rename.py"

DELIVER = (
    Mutant(
        "delivery-replaces",
        "the last way to rename replaces an existing file",
        "exclusive_rename.py",
        "    if os.path.lexists(target):",
        "    if not source:",
        (f"{RENAME}::test_each_way_moves_a_file_to_a_free_name_and_leaves_an_existing_one",),
    ),
    Mutant(
        "disk-error-taken-for-missing-feature",
        "after an error of the disk, the next way to rename is tried",
        "exclusive_rename.py",
        "if error.errno not in _UNSUPPORTED or number == len(ways):",
        "if number == len(ways):",
        (f"{RENAME}::test_an_error_of_the_disk_is_not_taken_for_a_missing_feature",),
    ),
    Mutant(
        "delivery-not-synced",
        "a delivered file gets its name before it is synced",
        "deliver/folder.py",
        "                self._files.set_access(part, self._access.mode, self._access.group)\n"
        "                self._files.sync(file)\n",
        "                self._files.set_access(part, self._access.mode, self._access.group)\n",
        (
            f"{FOLDER}::test_a_file_is_written_aside_then_synced_then_named_then_its_folder_synced",
            f"{FOLDER}::test_a_power_cut_after_the_answer_loses_nothing",
        ),
    ),
    Mutant(
        "delivery-folder-not-synced",
        "the name of a delivered file is not synced",
        "deliver/folder.py",
        "            if put is not Put.OTHER:\n",
        "            if put is Put.OTHER:\n",
        (f"{FOLDER}::test_a_power_cut_after_the_answer_loses_nothing",),
    ),
    Mutant(
        "delivery-not-read-back",
        "a file that the disk cut short is delivered",
        "deliver/folder.py",
        "            if self._content(part) != content:",
        "            if self._content(part) is None:",
        (f"{FOLDER}::test_a_disk_in_trouble_stops_this_sink_only_and_leaves_nothing",),
    ),
    Mutant(
        "delivery-into-an-empty-mount-point",
        "the folder of a share that is not mounted is created",
        "deliver/folder.py",
        "        if not self._root.is_dir():",
        "        self._files.make_folder(self._root)\n        if not self._root.is_dir():",
        (f"{FOLDER}::test_a_missing_folder_is_not_created",),
    ),
    Mutant(
        "sink-stops-the-program",
        "a failed sync of a sink ends the program",
        "deliver/folder.py",
        "        except (StorageFault, StorageBroken) as error:",
        "        except StorageFault as error:",
        (f"{FOLDER}::test_a_disk_in_trouble_stops_this_sink_only_and_leaves_nothing",),
    ),
    Mutant(
        "other-bytes-count-as-delivered",
        "a name with other bytes counts as delivered",
        "deliver/folder.py",
        "        if _hash(content) != sha256:\n            return Put.OTHER\n",
        "",
        (f"{EVERY}::test_other_bytes_are_never_replaced",),
    ),
    Mutant(
        "rotten-bytes-delivered",
        "bytes that do not match their hash are delivered",
        "deliver/sink.py",
        "    if compare(content, sha256) is not Found.SAME:",
        "    if compare(content, sha256) is Found.GONE:",
        (f"{EVERY}::test_bytes_that_do_not_match_their_hash_are_not_delivered",),
    ),
    Mutant(
        "sidecar-although-a-file-is-missing",
        "a name with other bytes does not stop the sidecar",
        "deliver/handover.py",
        "    if put is Put.OTHER:",
        "    if put is Put.OTHER and not content:",
        (f"{EVERY}::test_without_all_files_there_is_no_sidecar",),
    ),
    Mutant(
        "version-under-the-same-name",
        "a later version has the name of the first",
        "deliver/naming.py",
        'if consignment.version > 1 and "version" not in self.fields:',
        'if consignment.version > 99 and "version" not in self.fields:',
        (f"{NAMES}::test_a_later_version_has_a_name_of_its_own",),
    ),
    Mutant(
        "names-collide-within-a-document",
        "two files of a document may get the same name",
        "deliver/naming.py",
        "        return key in mine or is_taken(key)",
        "        return is_taken(key)",
        (f"{NAMES}::test_files_of_one_document_and_the_names_at_the_sink_never_collide",),
    ),
    Mutant(
        "value-makes-a-folder",
        "a slash in a value is taken for a folder",
        "safe_file_names.py",
        '    return re.sub(r"[/\\\\]", "_", text)',
        "    return text",
        (f"{NAMES}::test_examples",),
    ),
    Mutant(
        "delivery-given-up",
        "the pause between attempts grows without a limit",
        "deliver/delivery.py",
        "        pause = min(doubled, self.longest_seconds if longest is None else longest) * (1 + self.jitter) / 2",
        "        pause = doubled * (1 + self.jitter) / 2",
        (f"{DELIVERY}::test_an_unavailable_sink_keeps_a_delivery_pending_with_growing_pauses",),
    ),
    Mutant(
        "delivered-without-receipt",
        "a delivery counts as delivered without a receipt",
        "deliver/delivery.py",
        "    if event.receipt is None:",
        "    if event.receipt is None and event.reason:",
        (f"{DELIVERY}::test_nothing_is_delivered_without_a_receipt",),
    ),
    Mutant(
        "delivery-ignores-retry-after",
        "a delivery does not wait as long as the receiver asks",
        "deliver/delivery.py",
        "        return max(pause, min(retry_after or 0.0, DAY_SECONDS))",
        "        return pause",
        (f"{DELIVERY}::test_a_retry_after_is_respected_up_to_a_day",),
    ),
    Mutant(
        "refused-delivery-still-pending",
        "a refused delivery does not show as failed",
        "deliver/delivery.py",
        "patience), state=FAILED)",
        "patience), state=delivery.state)",
        (f"{DELIVERY}::test_a_refused_delivery_is_failed_and_tried_again_every_day",),
    ),
    Mutant(
        "outage-counted-as-attempt-for-ever",
        "deliveries wait on although their sink is back",
        "deliver/sink_pause.py",
        "is_back=pause.failures > 0",
        "is_back=pause.failures > 99",
        (f"{DELIVERY}::test_when_the_sink_accepts_one_again_all_others_are_due",),
    ),
    Mutant(
        "gone-sink-called-on",
        "a sink that answered 410 is called as often as before",
        "deliver/sink_pause.py",
        "    if event.happened is DeliveryHappened.GONE:",
        "    if event.happened is DeliveryHappened.RETRIED:",
        (f"{DELIVERY}::test_a_sink_that_wants_no_more_is_tried_once_a_day",),
    ),
    Mutant(
        "sink-not-paused",
        "an unavailable sink is called for each pending delivery",
        "deliver/sink_pause.py",
        "        return Paused(SinkPause(failures, now + timedelta(seconds=seconds)))",
        "        return Paused(SinkPause(failures, now))",
        (f"{DELIVERY}::test_an_unavailable_sink_pauses_for_a_few_minutes_at_most",),
    ),
)
