"""Which address and port a node gets, and which settings are refused."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from coopr_core.errors import CooprError, InvalidInput, OverQuota
from coopr_core.providers.local import LocalProvider, addresses
from coopr_core.providers.local.addresses import AddressInUse, Probe, allocate, own_slice, probe
from coopr_core.providers.local.settings import LocalSettings

RANGE = IPv4Network("127.77.0.0/20")


def settings(**values: object) -> LocalSettings:
    return LocalSettings.checked(values, "local")


def test_the_first_node_gets_the_first_address_and_the_next_ones_follow() -> None:
    taken: list[tuple[str, int]] = []
    for _ in range(3):
        taken.append(allocate(settings(), RANGE, taken))
    assert taken == [("127.77.0.1", 2222), ("127.77.0.2", 2222), ("127.77.0.3", 2222)]


def test_an_address_given_back_is_handed_out_again() -> None:
    assert allocate(settings(), RANGE, [("127.77.0.1", 2222), ("127.77.0.3", 2222)])[0] == "127.77.0.2"


def test_no_address_ends_in_0_or_255() -> None:
    taken = [(f"127.77.0.{host}", 2222) for host in range(1, 255)]
    assert allocate(settings(), RANGE, taken)[0] == "127.77.1.1"


def test_a_range_used_up_is_told() -> None:
    taken = [("127.77.0.1", 2222), ("127.77.0.2", 2222)]
    with pytest.raises(OverQuota, match=r"all addresses of 127\.77\.0\.0/30 are taken by 2 local nodes"):
        allocate(settings(address_range="127.77.0.0/30"), RANGE, taken)


def test_a_shared_address_counts_its_ports_up_past_ours_and_others() -> None:
    with socket.create_server(("127.77.0.9", 0)) as other:
        port = other.getsockname()[1]
        shared = settings(address_range="127.77.0.9/32", port=port - 1)
        first = allocate(shared, RANGE, [])
        assert first == ("127.77.0.9", port - 1)
        assert allocate(shared, RANGE, [first])[1] > port


def test_an_address_whose_usual_port_another_has_is_left_to_it() -> None:
    with socket.create_server(("127.77.0.1", 2222)):
        assert allocate(settings(address_range="127.77.0.0/24"), RANGE, []) == ("127.77.0.2", 2222)
    with socket.create_server(("127.77.0.1", 2222)), socket.create_server(("127.77.0.2", 2222)):
        assert allocate(settings(address_range="127.77.0.0/30"), RANGE, []) == ("127.77.0.1", 2223)


def test_a_set_port_that_is_busy_on_a_shared_address_is_an_error() -> None:
    with socket.create_server(("127.77.0.9", 0)) as other, pytest.raises(AddressInUse):
        allocate(settings(address_range="127.77.0.9/32", port=other.getsockname()[1]), RANGE, [])


def test_without_a_second_loopback_address_nodes_share_127_0_0_1(monkeypatch: pytest.MonkeyPatch) -> None:
    real = probe

    def only_one(address: str, port: int) -> Probe:
        return real(address, port) if address == "127.0.0.1" else Probe.ABSENT

    monkeypatch.setattr(addresses, "probe", only_one)
    first = allocate(settings(), RANGE, [])
    second = allocate(settings(), RANGE, [first])
    assert first[0] == second[0] == "127.0.0.1"
    assert second[1] > first[1] >= 2222
    with pytest.raises(CooprError, match=r"no address 127\.77\.0\.1"):
        allocate(settings(address_range="127.77.0.0/24"), RANGE, [])


def test_state_folders_have_slices_of_their_own_away_from_the_addresses_in_common_use() -> None:
    slices = [own_slice(Path("/home") / str(number)) for number in range(50)]
    assert len(set(slices)) == 50
    assert slices[0] == own_slice(Path("/home/0"))
    assert all(network.prefixlen == 20 and network.is_loopback for network in slices)
    assert all(int(network.network_address) >= int(IPv4Network("127.2.0.0/20").network_address) for network in slices)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"address_range": "10.0.0.0/24"}, "provisioner.address_range: .*loopback"),
        ({"address_range": "nonsense"}, "provisioner.address_range"),
        ({"port": "many"}, "provisioner.port"),
        ({"port": 70000}, "provisioner.port"),
        ({"colour": "red"}, "provisioner.colour: unknown setting; known are address_range, port, user"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_with_its_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        LocalProvider(values, state_dir=Path("/nonexistent"))


def test_settings_may_come_as_text_or_be_left_blank() -> None:
    assert settings(port="2300").port == 2300
    assert settings(port="", address_range="", user="nobody") == settings()


def test_every_setting_says_what_it_is_for() -> None:
    fields = {field.name: field for field in LocalSettings.fields()}
    assert list(fields) == ["address_range", "port", "user"]
    assert all(field.label and field.tip for field in fields.values())
    assert fields["port"].type == "number"
    assert fields["user"].default == "nobody"
    assert not any(field.sensitive for field in fields.values())
