import pytest

from slingshot_analysis.errors import InputError
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Group, Quantity, TraceWriter

LAYER = Axis("layer", ["a", "b"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Quantity("Loss"), "quantity 'Loss': expected a name of lower-case letters"),
        (lambda: Quantity("step"), "quantity 'step': this name is taken"),
        (lambda: Quantity("loss", dtype="float16"), "'loss': unknown dtype 'float16'; did you mean"),
        (lambda: Quantity("change", axes=[Axis("Layer", "ab")]), "axis of quantity 'change' 'Layer'"),
        (lambda: Quantity("change", axes=[Axis("layer", [])]), "'change', axis 'layer': labels"),
        (lambda: Quantity("change", axes=[Axis("layer", ["a", 3])]), "'change', axis 'layer': labels"),
        (lambda: Quantity("change", axes=[Axis("layer", "aa")]), "'change': 'a' occurs twice"),
        (lambda: Quantity("change", axes=[LAYER, LAYER]), "'change': 'layer' occurs twice among its axes"),
        (lambda: Group("axes", [Quantity("loss")]), "group 'axes': this name is taken"),
        (lambda: Group("every 1", [Quantity("loss")]), "group 'every 1': expected a name"),
        (lambda: Group("every_1", []), "group 'every_1' has no quantities"),
        (lambda: Group("every_1", [Quantity("loss"), Quantity("loss")]), r"'loss' is given twice \(group every_1\)"),
        (
            lambda: Group("every_1", [Quantity("x", axes=[LAYER]), Quantity("y", axes=[Axis("layer", ["a"])])]),
            "axis 'layer' has other labels in quantity 'y' than in 'x'",
        ),
        (lambda: Group("every_1", [Quantity("x", axes=[LAYER]), Quantity("layer")]), "'layer' names a quantity and an"),
    ],
)
def test_what_is_not_allowed_is_named(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([], "at least one group"),
        ([Group("a", [Quantity("x")]), Group("a", [Quantity("y")])], "group 'a' is given twice"),
        ([Group("a", [Quantity("x")]), Group("b", [Quantity("x")])], r"quantity 'x' is given twice \(group a, b\)"),
        ([Group("a", [Quantity("x", axes=[LAYER])]), Group("b", [Quantity("layer")])], "names a quantity and an axis"),
    ],
)
def test_groups_that_do_not_go_together_make_no_file(tmp_path, groups, words):
    with pytest.raises(InputError, match=words):
        TraceWriter(tmp_path / "run.h5", groups)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"version": 2}, "attribute 'version': this name is taken"),
        ({"git revision": "a"}, "attribute 'git revision': expected a name"),
        ({"device": object()}, "attribute 'device': got object; expected text"),
        ({"config": {"device": object()}}, "attribute 'config': can't be written as JSON"),
    ],
)
def test_attributes_that_can_not_be_stored_make_no_file(tmp_path, attributes, words):
    with pytest.raises(InputError, match=words):
        TraceWriter(tmp_path / "run.h5", [Group("every_1", [Quantity("x")])], attributes)
    assert not list(tmp_path.iterdir())
