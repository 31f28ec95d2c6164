"""Makes the damaged and hostile models in `bad/`, and writes what ONNX Runtime does with each into `bad/README.md`.

    python make_bad.py

Each model is loaded and run in a separate process, with a limit on its time and one on its memory.
"""

import json
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "bad"
TIMEOUT = 20  # seconds
MEMORY = 4 << 30  # bytes of address space
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
FEATURES = 4
CLASSES = 2

MODELS = {}


def bad(about):
    """Registers a function that makes the bytes of the model of its name."""

    def register(make):
        MODELS[make.__name__] = (about, make)
        return make

    return register


# --- Building blocks ------------------------------------------------------------------------------------------------------


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name="W", values=None):
    """Returns an initializer; by default one that makes the first class likelier for positive features."""
    values = np.array([[0.25, -0.25]] * FEATURES, np.float32) if values is None else np.asarray(values)
    return numpy_helper.from_array(values, name)


def node(kind, inputs, outputs, domain="", **attributes):
    return helper.make_node(kind, inputs, outputs, domain=domain, **attributes)


def model(nodes, outputs, inputs=None, initializers=(), opset=17, ml=3, ir=8):
    inputs = [tensor("X", FLOAT, [None, FEATURES])] if inputs is None else inputs
    graph = helper.make_graph(nodes, "bad", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


def linear(**more):
    """Returns a model that works: probabilities from a matrix product and a softmax."""
    return model(
        [node("MatMul", ["X", "W"], ["scores"]), node("Softmax", ["scores"], ["probabilities"], axis=1)],
        [tensor("probabilities", FLOAT, [None, CLASSES])], initializers=[weights()], **more,
    )


def after_softmax(nodes, outputs, initializers=()):
    """Returns the working model with more nodes behind its probabilities `P`."""
    first = [node("MatMul", ["X", "W"], ["scores"]), node("Softmax", ["scores"], ["P"], axis=1)]
    return model(first + nodes, outputs, initializers=[weights(), *initializers])


def external(location):
    """Returns the working model with its weights in another file."""
    own = linear()
    initializer = own.graph.initializer[0]
    initializer.ClearField("raw_data")
    initializer.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(FEATURES * CLASSES * 4)}.items():
        initializer.external_data.add(key=key, value=value)
    return own


def with_labels(values):
    """Returns a model that answers labels of text: the first for rows of positive features, the second for others."""
    nodes = [
        node("ArgMax", ["P"], ["class"], axis=1, keepdims=0),
        node("LabelEncoder", ["class"], ["label"], domain="ai.onnx.ml", keys_int64s=[0, 1], values_strings=values),
    ]
    return after_softmax(nodes, [tensor("label", STRING, [None]), tensor("P", FLOAT, [None, CLASSES])])


def loop(trips):
    """Returns a model that adds to its input in a loop."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Add", ["value", "tiny"], ["next"])], "body",
        [tensor("i", INT64, []), tensor("go", TensorProto.BOOL, []), tensor("value", FLOAT, None)],
        [tensor("go_on", TensorProto.BOOL, []), tensor("next", FLOAT, None)],
    )
    return model(
        [node("Loop", ["trips", "yes", "X"], ["sum"], body=body), node("MatMul", ["sum", "W"], ["scores"]),
         node("Softmax", ["scores"], ["probabilities"], axis=1)],
        [tensor("probabilities", FLOAT, [None, CLASSES])],
        initializers=[weights("trips", values=np.int64(trips)), weights("yes", values=np.bool_(True)),
                      weights("tiny", values=np.float32(1e-9)), weights()],
    )


# --- Files that are not models --------------------------------------------------------------------------------------------


@bad("the first half of a model")
def truncated():
    whole = linear().SerializeToString()
    return whole[: len(whole) // 2]


@bad("a line of text")
def not_onnx():
    return b"this is not a model\n"


@bad("no bytes")
def empty():
    return b""


@bad("a pickled dict, as joblib or pickle would save a model")
def pickled():
    return pickle.dumps({"coef": [0.25, 0.5], "classes": ["no", "yes"]}, protocol=4)


@bad("bytes that are all zero")
def zeros():
    return bytes(64)


# --- Models of another version --------------------------------------------------------------------------------------------


@bad("opset 99")
def future_opset():
    return linear(opset=99)


@bad("version 99 of the operators for machine learning (`ai.onnx.ml`), none of which it uses")
def future_opset_ml():
    return linear(ml=99)


@bad("IR version 99")
def future_ir():
    return linear(ir=99)


# --- Models that cannot be built ------------------------------------------------------------------------------------------


@bad("an operator that does not exist")
def unknown_op():
    return model([node("FlyToTheMoon", ["X"], ["probabilities"])], [tensor("probabilities", FLOAT, [None, CLASSES])])


@bad("an operator of a domain that does not exist, as custom operators have")
def unknown_domain():
    own = model([node("Fly", ["X"], ["probabilities"], domain="com.example")], [tensor("probabilities", FLOAT, [None, CLASSES])])
    own.opset_import.append(helper.make_opsetid("com.example", 1))
    return own


@bad("a node that takes its own output")
def cycle():
    return model([node("Add", ["X", "sum"], ["sum"])], [tensor("sum", FLOAT, [None, FEATURES])])


@bad("a node whose input does not exist")
def dangling():
    return model([node("Add", ["X", "nowhere"], ["sum"])], [tensor("sum", FLOAT, [None, FEATURES])])


@bad("two inputs of one name")
def duplicate_input():
    own = linear()
    own.graph.input.append(tensor("X", FLOAT, [None, FEATURES]))
    return own


def nested(depth):
    """Returns the bytes of a model whose answer comes from subgraphs within subgraphs.

    The library for protocol buffers does not write messages this deep, so the bytes are put together here.
    """

    def field(number, content):
        size, digits = len(content), bytearray()
        while size > 127:
            digits.append(size & 127 | 128)
            size >>= 7
        return varint(number << 3 | 2) + bytes(digits) + bytes([size]) + content

    def varint(value):
        return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])

    def graph(node_bytes, output):
        return field(1, node_bytes) + field(2, b"g") + field(12, tensor(output, FLOAT, None).SerializeToString())

    def attribute(name, content):
        return field(5, field(1, name) + field(6, content) + varint(20 << 3) + bytes([onnx.AttributeProto.GRAPH]))

    own = node("Identity", ["X"], [f"y{depth}"]).SerializeToString()
    for level in range(depth - 1, -1, -1):
        other = graph(node("Identity", ["X"], [f"z{level}"]).SerializeToString(), f"z{level}")
        own = (node("If", ["yes"], [f"y{level}"]).SerializeToString() + attribute(b"then_branch", graph(own, f"y{level + 1}"))
               + attribute(b"else_branch", other))
    whole = model([], [tensor("y0", FLOAT, [None, FEATURES])], inputs=[tensor("X", FLOAT, [None, FEATURES]),
                                                                        tensor("yes", TensorProto.BOOL, [])])
    rest = whole.graph.SerializeToString()
    whole.ClearField("graph")
    return whole.SerializeToString() + field(7, field(1, own) + rest)


@bad("subgraphs nested 30 deep; the second input, `yes`, is one boolean without dimensions")
def nested_30():
    return nested(30)


@bad("subgraphs nested 200 deep")
def nested_200():
    return nested(200)


@bad("a decision tree that skl2onnx converts for an input of double precision: the declared output has the wrong type")
def double_trees():
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType
    from sklearn.tree import DecisionTreeClassifier

    features = np.arange(16, dtype=np.float64).reshape(4, 4)
    fitted = DecisionTreeClassifier(max_depth=1, random_state=0).fit(features, [0, 0, 1, 1])
    return to_onnx(fitted, initial_types=[("X", DoubleTensorType([None, FEATURES]))], options={"zipmap": False},
                   target_opset={"": 17, "ai.onnx.ml": 3})


@bad("weights in a file that is missing")
def external_missing():
    return external("weights.bin")


@bad("weights in a file outside the folder of the model, by a relative path")
def external_parent():
    return external("../../etc/passwd")


@bad("weights in a file outside the folder of the model, by an absolute path")
def external_absolute():
    return external("/etc/passwd")


# --- Models that fail when they run ---------------------------------------------------------------------------------------


@bad("a shape that does not fit the rows: loads, but fails when run")
def shape_mismatch():
    return model(
        [node("Shape", ["X"], ["shape"]), node("Add", ["shape", "more"], ["wrong"]), node("Reshape", ["X", "wrong"], ["Y"]),
         node("MatMul", ["Y", "W"], ["scores"]), node("Softmax", ["scores"], ["probabilities"], axis=1)],
        [tensor("probabilities", FLOAT, [None, CLASSES])],
        initializers=[weights(), weights("more", values=np.array([1, 0], np.int64))],
    )


@bad("a look-up beyond the end of a table, for each row")
def index_out_of_range():
    return model(
        [node("Cast", ["X"], ["whole"], to=INT64), node("Abs", ["whole"], ["positive"]), node("Add", ["positive", "far"], ["at"]),
         node("Gather", ["W", "at"], ["found"]), node("ReduceMean", ["found"], ["probabilities"], axes=[1], keepdims=0)],
        [tensor("probabilities", FLOAT, [None, CLASSES])],
        initializers=[weights(), weights("far", values=np.array([1000], np.int64))],
    )


@bad("a division of whole numbers by zero")
def divide_by_zero():
    return model(
        [node("Cast", ["X"], ["whole"], to=INT64), node("Sub", ["whole", "whole"], ["nothing"]),
         node("Div", ["whole", "nothing"], ["ratio"]), node("Cast", ["ratio"], ["probabilities"], to=FLOAT)],
        [tensor("probabilities", FLOAT, [None, FEATURES])],
    )


@bad("a loop of 10^12 rounds")
def loop_forever():
    return loop(10**12)


@bad("a loop of 2 million rounds, which takes some seconds")
def loop_slow():
    return loop(2 * 10**6)


@bad("a tensor of 2^45 floats (128 TiB) whose size is fixed")
def huge_alloc():
    return model(
        [node("ConstantOfShape", ["size"], ["huge"]), node("ReduceSum", ["huge"], ["sum"], keepdims=0),
         node("Add", ["X", "sum"], ["probabilities"])],
        [tensor("probabilities", FLOAT, [None, FEATURES])], initializers=[weights("size", values=np.array([2**45], np.int64))],
    )


@bad("a tensor of 2^45 floats per row, whose size depends on the number of rows")
def huge_alloc_per_row():
    return model(
        [node("Shape", ["X"], ["rows"], start=0, end=1), node("Mul", ["rows", "factor"], ["size"]),
         node("ConstantOfShape", ["size"], ["huge"]), node("ReduceSum", ["huge"], ["sum"], keepdims=0),
         node("Add", ["X", "sum"], ["probabilities"])],
        [tensor("probabilities", FLOAT, [None, FEATURES])], initializers=[weights("factor", values=np.array([2**45], np.int64))],
    )


# --- Inputs and outputs of another kind -----------------------------------------------------------------------------------


@bad("an input of four dimensions, as images have")
def image_input():
    return model(
        [node("GlobalAveragePool", ["image"], ["means"]), node("Flatten", ["means"], ["flat"]),
         node("Softmax", ["flat"], ["probabilities"], axis=1)],
        [tensor("probabilities", FLOAT, [None, 3])], inputs=[tensor("image", FLOAT, [None, 3, 8, 8])],
    )


@bad("an input that is a sequence of tensors")
def sequence_input():
    return model(
        [node("ConcatFromSequence", ["parts"], ["all"], axis=0), node("Softmax", ["all"], ["probabilities"], axis=1)],
        [tensor("probabilities", FLOAT, [None, FEATURES])],
        inputs=[helper.make_tensor_sequence_value_info("parts", FLOAT, [None, FEATURES])],
    )


@bad("an input without dimensions")
def scalar_input():
    return model([node("Sigmoid", ["X"], ["probability"])], [tensor("probability", FLOAT, [])], inputs=[tensor("X", FLOAT, [])])


@bad("an input of half precision")
def float16_input():
    return model(
        [node("Cast", ["X"], ["single"], to=FLOAT), node("Softmax", ["single"], ["probabilities"], axis=1)],
        [tensor("probabilities", FLOAT, [None, FEATURES])], inputs=[tensor("X", TensorProto.FLOAT16, [None, FEATURES])],
    )


@bad("no inputs: the answer is a constant")
def no_inputs():
    return model([node("Identity", ["W"], ["probabilities"])], [tensor("probabilities", FLOAT, [FEATURES, CLASSES])], inputs=[],
                 initializers=[weights()])


@bad("no outputs")
def no_outputs():
    own = linear()
    del own.graph.output[:]
    return own


@bad("probabilities of type int8")
def int8_output():
    return after_softmax([node("Cast", ["P"], ["probabilities"], to=TensorProto.INT8)],
                         [tensor("probabilities", TensorProto.INT8, [None, CLASSES])])


@bad("probabilities of half precision")
def float16_output():
    return after_softmax([node("Cast", ["P"], ["probabilities"], to=TensorProto.FLOAT16)],
                         [tensor("probabilities", TensorProto.FLOAT16, [None, CLASSES])])


@bad("an output of complex numbers")
def complex_output():
    return model([node("Identity", ["C"], ["probabilities"])], [tensor("probabilities", TensorProto.COMPLEX64, [1, CLASSES])],
                 initializers=[weights("C", values=np.array([[1 + 1j, 2]], np.complex64))])


@bad("an output of three dimensions")
def cube_output():
    return after_softmax([node("Unsqueeze", ["P", "axis"], ["probabilities"])],
                         [tensor("probabilities", FLOAT, [None, CLASSES, 1])], [weights("axis", values=np.array([2], np.int64))])


@bad("a sequence of tensors as output")
def sequence_output():
    return after_softmax([node("SequenceConstruct", ["P"], ["probabilities"])],
                         [helper.make_tensor_sequence_value_info("probabilities", FLOAT, [None, CLASSES])])


# --- Outputs that are not valid predictions -------------------------------------------------------------------------------


def scaled(factor, kind="Mul"):
    values = np.asarray(factor, np.float32)
    return after_softmax([node(kind, ["P", "factor"], ["probabilities"])], [tensor("probabilities", FLOAT, [None, CLASSES])],
                         [weights("factor", values=values)])


@bad("rows of \"probabilities\" that add up to 3")
def sum_of_three():
    return scaled(3.0)


@bad("\"probabilities\" that are negative or above 1, though they add up to 1")
def negative():
    return scaled([[-1.5, 1.5]], "Add")


@bad("NaN instead of probabilities")
def nan_output():
    return scaled(np.nan)


@bad("infinity instead of probabilities")
def infinite_output():
    return scaled(np.inf)


@bad("random probabilities: the same row gets a different answer each time (so this line changes whenever the script runs)")
def random_output():
    return model(
        [node("RandomUniformLike", ["X"], ["noise"]), node("MatMul", ["noise", "W"], ["scores"]),
         node("Softmax", ["scores"], ["probabilities"], axis=1)],
        [tensor("probabilities", FLOAT, [None, CLASSES])],
        initializers=[weights(values=np.array([[5, -5]] * FEATURES, np.float32))],
    )


@bad("one row of probabilities, however many rows go in (declared as any number)")
def rows_lost():
    return after_softmax([node("ReduceMean", ["P"], ["probabilities"], axes=[0], keepdims=1)],
                         [tensor("probabilities", FLOAT, [None, CLASSES])])


@bad("two rows of probabilities for each row (declared as any number)")
def rows_doubled():
    return after_softmax([node("Concat", ["P", "P"], ["probabilities"], axis=0)],
                         [tensor("probabilities", FLOAT, [None, CLASSES])])


@bad("an integer label, 99, for which the probabilities have no column")
def unknown_label():
    nodes = [node("ArgMax", ["P"], ["class"], axis=1, keepdims=0), node("Mul", ["class", "zero"], ["nothing"]),
             node("Add", ["nothing", "far"], ["label"])]
    return after_softmax(nodes, [tensor("label", INT64, [None]), tensor("P", FLOAT, [None, CLASSES])],
                         [weights("zero", values=np.int64(0)), weights("far", values=np.int64(99))])


@bad("two labels per row, as a model with several targets has")
def two_labels():
    nodes = [node("ArgMax", ["P"], ["class"], axis=1, keepdims=1), node("Concat", ["class", "class"], ["label"], axis=1)]
    return after_softmax(nodes, [tensor("label", INT64, [None, 2])])


@bad("three numbers per row that are not probabilities, as a regression with several targets has")
def three_numbers():
    columns = np.array([[10.0, 20.0, 30.0]] * CLASSES, np.float32)
    return after_softmax([node("MatMul", ["P", "columns"], ["numbers"])], [tensor("numbers", FLOAT, [None, 3])],
                         [weights("columns", values=columns)])


@bad("labels that are not UTF-8 (bytes FF FE)")
def invalid_utf8_labels():
    return with_labels([b"\xff\xfe", b"no\xff"])


@bad("labels with a line break, quotes, markup and a NUL byte")
def hostile_labels():
    return with_labels([b'a"b\\c\n# HELP x\n<script>', b"no\x00yes"])


# --- What ONNX Runtime does with them -------------------------------------------------------------------------------------


def probe(name):
    """Loads a model and runs it on two rows; prints what happened as JSON, one line per step."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1

    def step(what, act):
        try:
            result = act()
        except BaseException as error:
            kind = f"{type(error).__module__}.{type(error).__qualname__}".replace("onnxruntime.capi.onnxruntime_pybind11_state.", "")
            print(json.dumps([what, f"{kind.removeprefix('builtins.')}: {error}"]), flush=True)
            raise SystemExit(0) from None
        return result

    path = f"{name}.onnx"
    source = Path(path).read_bytes() if "--bytes" in sys.argv else path
    session = step("load", lambda: onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"]))
    print(json.dumps(["load", "loads"]), flush=True)
    feeds = step("inputs", lambda: {own.name: example(onnxruntime, own) for own in session.get_inputs()})
    outputs = step("run", lambda: session.run(None, feeds))
    shown = [np.array2string(own, separator=", ").replace("\n", "") if isinstance(own, np.ndarray) else repr(own) for own in outputs]
    print(json.dumps(["run", "answers " + "; ".join(shown)]), flush=True)


def example(onnxruntime, declared):
    shape = [2 if not isinstance(size, int) else size for size in declared.shape]
    if declared.type == "seq(tensor(float))":
        return [np.ones((1, FEATURES), np.float32), -np.ones((1, FEATURES), np.float32)]
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(bool)": np.bool_}
    values = np.ones(shape, kinds[declared.type])
    if declared.type != "tensor(bool)" and len(shape) > 1:
        values[1:] = -1
    return values


def outcome(name, *more):
    """Returns what happens at load and at run, in a separate process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--probe", name, *more]
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=TIMEOUT)
        output, ended = done.stdout, f"ends with exit status {done.returncode}" if done.returncode else None
        if done.returncode < 0:
            ended = f"is killed by signal {-done.returncode}"
    except subprocess.TimeoutExpired as error:
        output, ended = (error.stdout or b"").decode(), f"is still running after {TIMEOUT} s"
    steps = dict(json.loads(line) for line in output.splitlines() if line.startswith("["))
    if ended:
        steps["run" if "load" in steps else "load"] = f"the process {ended}"
    return steps.get("load", ""), steps.get("inputs") or steps.get("run", "")


def cell(text):
    folder = FOLDER.resolve()
    text = text.replace(str(folder), "FOLDER").replace(str(folder.parents[1]), "FOLDER/../..")
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= 1200 else text[:1200] + " …"


def main():
    FOLDER.mkdir(exist_ok=True)
    lines = []
    for name, (about, make) in MODELS.items():
        made = make()
        made = made if isinstance(made, bytes) else made.SerializeToString()
        (FOLDER / f"{name}.onnx").write_bytes(made)
        load, run = outcome(name)
        lines.append(f"| `{name}.onnx` | {len(made)} | {about} | {cell(load)} | {cell(run)} |")
        if name.startswith("external"):
            load, run = outcome(name, "--bytes")
            lines.append(f"| the same model, loaded from bytes | | | {cell(load)} | {cell(run)} |")
        print(lines[-1])
    import onnxruntime

    text = HEADER.format(version=onnxruntime.__version__, timeout=TIMEOUT, memory=MEMORY >> 30) + "\n".join(lines) + "\n"
    (FOLDER / "README.md").write_text(text, encoding="utf-8")


HEADER = """# Damaged and hostile models

`make_bad.py` in the folder above makes these files and this table. The last two columns say what ONNX Runtime {version} does in
Python, in a process with {memory} GiB of address space and {timeout} s: the exact text of the exception, or the answer to two
rows, one of 1 and one of -1. FOLDER stands for this folder.
Unless the description says otherwise, the only input is a
float matrix `X` of four columns.

| file | bytes | what it is | at load | at run |
|---|---|---|---|---|
"""

if __name__ == "__main__":
    if "--probe" in sys.argv:
        probe(sys.argv[sys.argv.index("--probe") + 1])
    else:
        main()
