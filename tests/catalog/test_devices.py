from __future__ import annotations

import json
from pathlib import Path

import pytest

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.devices import find_device, load_devices, this_machine
from slm_explorer.catalog.fit import RECIPES, fit, fit_all
from slm_explorer.catalog.footprint import Correction, estimate_footprint
from slm_explorer.errors import BadCatalog, InvalidRequest

DEVICES = load_devices(asset_folder())


def test_the_devices_of_the_list_say_why_not_all_memory_is_usable() -> None:
    names = "phone-4gb phone-6gb phone-8gb raspberry-pi-5-8gb laptop-8gb laptop-16gb space-16gb"
    assert [device.id for device in DEVICES] == [*names.split(), "t4-16gb", "gpu-24gb"]
    for device in DEVICES:
        assert device.usable_bytes < device.total_bytes
        assert device.reason.endswith(".")
        assert device.source


def test_a_device_with_more_usable_than_there_is_is_refused(tmp_path: Path) -> None:
    values = json.loads((asset_folder() / "devices.json").read_text())
    values["devices"][0]["usable_bytes"] = 10**12
    (tmp_path / "devices.json").write_text(json.dumps(values))
    with pytest.raises(BadCatalog, match="phone-4gb"):
        load_devices(tmp_path)


def test_an_unknown_device_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"'../x'.*phone-4gb"):
        find_device(DEVICES, "../x")


def test_every_card_gets_a_light_and_smaller_devices_never_fit_more(catalog: Catalog) -> None:
    order = ["fits", "tight", "too big"]
    small, large = find_device(DEVICES, "phone-4gb"), find_device(DEVICES, "laptop-16gb")
    for recipe in RECIPES:
        few = fit_all(catalog.cards, small, recipe, 8192)
        many = fit_all(catalog.cards, large, recipe, 8192)
        assert [*few] == [card.id for card in catalog.cards]
        for card_id, found in few.items():
            if found.verdict == "n/a":
                assert many[card_id].verdict == "n/a"
                assert found.reason.startswith("n/a: ")
                continue
            assert order.index(many[card_id].verdict) <= order.index(found.verdict)


def test_fewer_bits_and_shorter_contexts_never_take_more(catalog: Catalog) -> None:
    for card in catalog.cards:
        if fit(card, 1).verdict == "n/a" or card.architecture_kind != "decoder":
            continue
        sizes = [
            estimate_footprint(card, recipe=recipe, context_tokens=512).weights
            for recipe in ("int4", "int8", "bf16", "f32")
        ]
        assert sizes == sorted(sizes), card.id
        totals = [
            estimate_footprint(card, context_tokens=tokens).total for tokens in (64, 2048, 32768)
        ]
        assert totals == sorted(totals), card.id


def test_only_this_machine_is_corrected(catalog: Catalog) -> None:
    by = Correction(10_000_000, 5)
    phone = find_device(DEVICES, "phone-8gb")
    here = this_machine(phone.total_bytes, phone.usable_bytes, "the system")
    plain = fit_all(catalog.cards, phone, correction=by)["qwen3-0-6b"]
    corrected = fit_all(catalog.cards, here, correction=by)["qwen3-0-6b"]
    assert plain.needed is not None
    assert corrected.needed == plain.needed + by.bytes
    assert corrected.footprint is not None
    assert corrected.footprint.correction.count == 5
