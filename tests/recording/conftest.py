import pytest
from training_loops import Disturbable, Loop


@pytest.fixture
def loop():
    return Loop


@pytest.fixture
def disturbable():
    return Disturbable
