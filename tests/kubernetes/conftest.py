"""One cluster for all tests of `make test-kubernetes`, and a namespace in it for what strangers may run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.cluster import NAMESPACE, Cluster
from tests.kubernetes.images import Images
from tests.kubernetes.tools import Tools

VARIABLE = "LOADFLOW_TEST_KUBERNETES"
Json = dict[str, Any]


@pytest.fixture(scope="session")
def given() -> Json:
    assert VARIABLE in os.environ, "these tests need tools, images and namespaces of their own: make test-kubernetes"
    found: Json = json.loads(os.environ[VARIABLE])
    return found


@pytest.fixture(scope="session")
def images(given: Json) -> Images:
    return Images(**given["images"])


@pytest.fixture(scope="session")
def cluster(given: Json) -> Iterator[Cluster]:
    with Cluster(Tools(**{name: Path(path) for name, path in given["tools"].items()}), Path(given["folder"])) as cluster:
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}  # the strictest standard
        cluster.api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": labels}})
        # who installs the chart may do what an administrator of the namespace may: nothing of the cluster
        cluster.kubectl("create", "rolebinding", "installer", "--clusterrole=admin", "--user=installer", "-n", NAMESPACE)
        cluster.wait_for("the rights of the installer", lambda: _may_install(cluster))
        yield cluster


def _may_install(cluster: Cluster) -> bool:
    return cluster.kubectl("auth", "can-i", "create", "deployments", "-n", NAMESPACE, role="installer", check=False).strip() == "yes"
