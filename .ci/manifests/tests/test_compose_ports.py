"""The check of docker-compose.yml's ports finds each port that is open to other machines."""

import copy
import tempfile
import unittest
from pathlib import Path

import compose_ports

# The service, its field, the wrong value, and a word that the fault must have.
WRONG = [
    ("redis", "ports", ["6379:6379"], "open on all addresses"),
    ("redis", "ports", ["6379"], "open on all addresses"),
    ("redis", "ports", [6379], "open on all addresses"),
    ("redis", "ports", ["0.0.0.0:6379:6379"], "open on 0.0.0.0"),
    ("redis", "ports", ["[::]:6379:6379"], "open on [::]"),
    ("redis", "ports", ["${REDIS_ADDRESS:-0.0.0.0}:6379:6379"], "open on 0.0.0.0"),
    ("redis", "ports", ["${REDIS_PASSWORD:+0.0.0.0}:6379:6379"], "deploy/init-env has run"),
    ("redis", "ports", [{"target": 6379, "published": "6379"}], "open on all addresses"),
    ("redis", "ports", [{"target": 6379, "published": "6379", "host_ip": "0.0.0.0"}], "open on 0.0.0.0"),
    ("rabbitmq", "ports", ["${API_ADDRESS:-127.0.0.1}:15672:15672"], "when only API_ADDRESS is set"),
    ("gateway", "network_mode", "host", "all ports are open"),
    ("nginx", "ports", ["8080:8080"], "when nothing is set"),
    ("nginx", "ports", ["${API_ADDRESS:-0.0.0.0}:8080:8080"], "when nothing is set"),
    ("nginx", "environment", {"API_ADDRESS": "${API_ADDRESS:-127.0.0.1}", "HAS_API_KEYS": "true"}, "without API keys"),
    ("nginx", "environment", {"HAS_API_KEYS": "${FOREBAY_API_KEYS_FILE:+true}"}, "without API keys"),
    ("nginx", "environment", {"API_ADDRESS": "${API_ADDRESS:-127.0.0.1}"}, "does not start with"),
]


class ComposePorts(unittest.TestCase):
    def test_the_ports_are_open_on_this_machine_only(self):
        self.assertEqual(compose_ports.faults(), [])

    def test_open_ports_are_found(self):
        for service, field, value, word in WRONG:
            with self.subTest(service=service, field=field, value=value):
                compose = copy.deepcopy(compose_ports.read_compose())
                compose["services"][service][field] = value
                found = compose_ports.faults(compose)
                self.assertTrue(any(word in fault for fault in found), found)

    def test_a_start_script_that_accepts_all_addresses_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "start.sh"
            script.write_text("mkdir /tmp/nginx\n")
            found = compose_ports.faults(script=script)
        self.assertTrue(any("starts with API_ADDRESS" in fault for fault in found), found)

    def test_a_variable_that_the_check_cannot_read_is_an_error(self):
        with self.assertRaises(ValueError):
            compose_ports.with_values("${A:-${B}}", {})
