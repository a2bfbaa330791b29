"""`patchline bank sign`: signatures for banks that were built before the trainer had a key."""

from rich.console import Console

from deploy.commands.options import JsonFile, SetFlags, SettingsFile, ViewOption, load
from deploy.errors import UsageError
from deploy.history.banks import stored_banks
from deploy.output.bank_facts import short_version
from deploy.output.reports import write_json
from ingest.bank_signature import BankSigner
from ingest.store import FsspecStore
from ingest.store_layout import signature_path


def sign(
    *,
    view: ViewOption = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Sign the banks in the store, by the key of trainer.signing_key_file.

    Of one view, or of all: look first at what is there (patchline bank list).
    """
    loaded = load(settings, flags)
    if loaded.trainer.signing_key_file is None:
        raise UsageError("trainer.signing_key_file names no key")
    signer, store = BankSigner.open(loaded.trainer.signing_key_file), FsspecStore.open(loaded.store.url)
    signed = []
    for bank in stored_banks(store, {}, view=view):
        store.put(signature_path(bank.path), signer.signature(bank.version))
        signed.append({"view": bank.view, "version": bank.version})
        Console().print(f"{bank.view}: {short_version(bank.version)}", highlight=False, markup=False)
    write_json(json, {"signed": signed})
