"""Defects of deliveries: a file lost, replaced, shown in part, or under the wrong name."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

EVERY = "tests/deliver/test_every_put_sink.py"
FOLDER = "tests/deliver/test_folder_sink.py"
NAMES = "tests/deliver/test_names_at_a_sink.py"
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
)
