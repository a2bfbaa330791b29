"""`patchline warm-up`: TensorRT's engines, compiled before an inspection needs them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed
from deploy.health_checks import runs_on
from deploy.history.banks import view_states
from deploy.output.compiled_engines import CompiledEngines
from deploy.output.reports import write_json
from deploy.wiring import embedder_of
from ingest.bank_state import BankState
from ingest.store import FsspecStore, NotInStore, Store
from softpatch.bank import InvalidBank, bank_from_bytes
from softpatch.network.embed import OnnxEmbedder, ProviderUnavailable


class BankInput(NamedTuple):
    """What a bank wants embedded."""

    features: str
    height_px: int
    width_px: int


def warm_up(
    *, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None, json: JsonFile = None
) -> None:
    """Compile what TensorRT needs for the banks in force, so that no inspection waits for it.

    Also for banks in shadow. On CUDA and on the CPU there is nothing to compile. Run it where the inspection runs: an
    engine fits one kind of GPU.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    console = Console(soft_wrap=True)
    wanted = inputs_of(view_states(loaded).values(), FsspecStore.open(loaded.store.url))
    compiled = CompiledEngines(console)
    embedder = embedder_of(loaded.runtime, batch_frames=loaded.inference.batch_frames, compiling=compiled.compiling)
    if embedder.provider != "tensorrt":
        console.print(f"nothing to compile: the network runs on {runs_on(embedder)}", highlight=False, markup=False)
    refused = {} if embedder.provider != "tensorrt" else _prepared(embedder, wanted, console)
    write_json(json, {"provider": embedder.provider, "compiled_seconds": compiled.seconds, "refused": refused})
    if refused:
        raise CommandFailed(f"{len(refused)} of {len(wanted)} inputs do not run on TensorRT; the lines above say why")


def inputs_of(states: Iterable[BankState], store: Store) -> dict[BankInput, list[str]]:
    """What the banks in force and in shadow want embedded, each with its views; what cannot be read is left out."""
    wanted: dict[BankInput, list[str]] = defaultdict(list)
    for state in states:
        for bank in (state.active, state.shadow):
            try:
                manifest = None if bank is None else bank_from_bytes(store.get(bank.uri)).manifest
            except (NotInStore, InvalidBank):
                continue
            if manifest is not None:
                geometry = manifest.geometry
                wanted[BankInput(manifest.features, geometry.height_px, geometry.width_px)].append(state.view)
    return dict(wanted)


def _prepared(embedder: OnnxEmbedder, wanted: dict[BankInput, list[str]], console: Console) -> dict[str, str]:
    """Prepare each input; those that were refused, and why."""
    refused = {}
    for needed, views in wanted.items():
        words = f"{needed.features} of {needed.width_px}x{needed.height_px} px ({', '.join(sorted(set(views)))})"
        try:
            embedder.with_features(needed.features).prepare(needed.height_px, needed.width_px)
        except ProviderUnavailable as error:
            refused[words] = str(error)
            console.print(f"refused: {words}: {error}", highlight=False, markup=False)
        else:
            console.print(f"ready: {words}", highlight=False, markup=False)
    return refused
