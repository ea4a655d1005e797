"""The innermost loop of a product of matrices, written for the processor's vectors.

A tile is 32 outputs by one or two tokens. For each pair of inputs it multiplies 32 pairs of int8 weights with one pair
of 16-bit activations and adds both products to 32-bit sums: on x86 with AVX2 that is one instruction (`vpmaddwd`). The
sums are exact, so their order is free; scales are applied once, at the end. The same loop over float32 weights serves
models whose weights are not quantized.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

OUTPUTS = 32
"""Of a tile: what a panel of packed weights serves."""
UNROLL = 4
"""Steps of the loop that are laid one after another; a matrix's steps are a multiple."""

_LANES = 8
_VECTORS = OUTPUTS // _LANES
_I8, _I16, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_INTS, _FLOATS = ir.VectorType(_I32, _LANES), ir.VectorType(_F32, _LANES)


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


_OFFSETS = [_number(vector * _LANES) for vector in range(_VECTORS)]
"""Of a tile's vectors among its outputs."""


def _splat(builder: Any, value: Any) -> Any:
    empty = ir.Constant(ir.VectorType(value.type, _LANES), ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES))


def _load(builder: Any, base: Any, offset: Any, vector: Any, align: int) -> Any:
    return builder.load(builder.bitcast(builder.gep(base, [offset]), vector.as_pointer()), align=align)


class _Integers:
    """int8 weights in pairs, 16-bit activations in pairs; sums of 32 bits."""

    sums, zero = _INTS, ir.Constant(_INTS, [0] * _LANES)
    width = 2
    """Inputs that one step takes."""

    @staticmethod
    def weights(builder: Any, base: Any, offset: Any) -> Any:
        return builder.sext(_load(builder, base, offset, ir.VectorType(_I8, 16), 1), ir.VectorType(_I16, 16))

    @staticmethod
    def activation(builder: Any, base: Any, offset: Any) -> Any:
        pair = builder.load(builder.bitcast(builder.gep(base, [offset]), _I32.as_pointer()), align=2)
        return builder.bitcast(_splat(builder, pair), ir.VectorType(_I16, 16))

    @staticmethod
    def add(builder: Any, total: Any, weights: Any, activation: Any) -> Any:
        return builder.add(total, _multiply_pairs(builder, weights, activation))

    @staticmethod
    def finish(builder: Any, total: Any, scale: Any, row_scale: Any) -> Any:
        return builder.fmul(builder.fmul(builder.sitofp(total, _FLOATS), scale), row_scale)


class _Floats:
    """float32 weights and activations. The order of the sum is that of the inputs."""

    sums, zero = _FLOATS, ir.Constant(_FLOATS, [0.0] * _LANES)
    width = 1

    @staticmethod
    def weights(builder: Any, base: Any, offset: Any) -> Any:
        return _load(builder, base, offset, _FLOATS, 4)

    @staticmethod
    def activation(builder: Any, base: Any, offset: Any) -> Any:
        return _splat(builder, builder.load(builder.gep(base, [offset])))

    @staticmethod
    def add(builder: Any, total: Any, weights: Any, activation: Any) -> Any:
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v8f32")
        return builder.call(function, [weights, activation, total])

    @staticmethod
    def finish(builder: Any, total: Any, scale: Any, row_scale: Any) -> Any:  # noqa: ARG004 - nothing was scaled
        return total


def _multiply_pairs(builder: Any, left: Any, right: Any) -> Any:
    """Sums of the products of neighbours, of 16 numbers of 16 bits each."""
    if binding.get_host_cpu_features().get("avx2"):
        kind = ir.FunctionType(_INTS, [left.type, right.type])
        return builder.call(
            cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.pmadd.wd"), [left, right]
        )
    wide = ir.VectorType(_I32, 16)
    products = builder.mul(builder.sext(left, wide), builder.sext(right, wide))
    even, odd = (ir.Constant(_INTS, [2 * lane + side for lane in range(_LANES)]) for side in (0, 1))
    return builder.add(*(builder.shuffle_vector(products, products, side) for side in (even, odd)))


def make_tile(rows: int, *, add: bool) -> Callable[..., None]:
    """`tile(weights, scales, inputs, row_scales, outputs, panel, row)` for `rows` tokens from `row` on.

    weights [panels, steps, OUTPUTS * width] int8 or float32, scales [panels * OUTPUTS] float32, inputs [tokens, steps *
    width] int16 or float32, row_scales [tokens] float32, outputs [tokens, >= panels * OUTPUTS] float32: what comes is
    stored there or, with `add`, added.
    """

    @intrinsic
    def tile(
        typing_context: Any, weights: Any, scales: Any, inputs: Any, row_scales: Any, outputs: Any, panel: Any, row: Any
    ) -> Any:
        signature = types.void(weights, scales, inputs, row_scales, outputs, types.int64, types.int64)
        kind = _Integers if weights.dtype == types.int8 else _Floats

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = [
                context.make_array(array_type)(context, builder, array)
                for array_type, array in zip(signature.args[:5], arguments[:5], strict=True)
            ]
            panel, row = arguments[5:]
            weights, scales, inputs, row_scales, outputs = arrays
            steps = builder.extract_value(weights.shape, 1)
            panel_size = builder.mul(steps, _number(OUTPUTS * kind.width))
            first = builder.gep(weights.data, [builder.mul(panel, panel_size)])
            tokens = [builder.add(row, _number(each)) for each in range(rows)]
            lines = [_line(builder, inputs, token) for token in tokens]
            column = builder.mul(panel, _number(OUTPUTS))
            totals = _accumulate(builder, kind, first, lines, steps, UNROLL)
            for token, sums in zip(tokens, totals, strict=True):
                row_scale = _splat(builder, builder.load(builder.gep(row_scales.data, [token])))
                finished = [
                    kind.finish(builder, total, _vector(builder, scales.data, builder.add(column, offset)), row_scale)
                    for total, offset in zip(sums, _OFFSETS, strict=True)
                ]
                _put(builder, finished, builder.gep(_line(builder, outputs, token), [column]), add=add)
            return context.get_dummy_value()

        return signature, generate

    made: Callable[..., None] = tile
    return made


@intrinsic
def weigh(typing_context: Any, lines: Any, place: Any, weights: Any, outputs: Any, steps: Any, add: Any) -> Any:
    """outputs [OUTPUTS] = (or +=) the sum of `steps` lines [.., OUTPUTS] from `place` on, each times its weight.

    All float32; `place` counts lines. What lies behind is not looked at: it may be anything.
    """
    signature = types.void(lines, types.int64, weights, outputs, types.int64, add)
    adds = bool(add.literal_value) if isinstance(add, types.Literal) else None
    if adds is None:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [context.make_array(signature.args[at])(context, builder, arguments[at]) for at in (0, 2, 3)]
        lines, weights, outputs = (array.data for array in arrays)
        first = builder.gep(lines, [builder.mul(arguments[1], _number(OUTPUTS))])
        (sums,) = _accumulate(builder, _Floats, first, [weights], arguments[4], 1)
        _put(builder, sums, outputs, add=adds)
        return context.get_dummy_value()

    return signature, generate


def _accumulate(builder: Any, kind: Any, first: Any, lines: Any, steps: Any, unroll: int) -> list[list[Any]]:
    """The loop: sums of each line's inputs times the weights from `first` on, over the steps."""
    before = builder.block
    loop, after = builder.append_basic_block("steps"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_I64)
    step.add_incoming(_number(0), before)
    phis = [[builder.phi(kind.sums) for _ in range(_VECTORS)] for _ in lines]
    sums: list[list[Any]] = [list(line) for line in phis]
    for each in range(unroll):
        place = builder.add(step, _number(each))
        offset = builder.mul(place, _number(OUTPUTS * kind.width))
        loaded = [
            kind.weights(builder, first, builder.add(offset, _number(vector * _LANES * kind.width)))
            for vector in range(_VECTORS)
        ]
        for line, line_sums in zip(lines, sums, strict=True):
            activation = kind.activation(builder, line, builder.mul(place, _number(kind.width)))
            line_sums[:] = [
                kind.add(builder, total, part, activation) for total, part in zip(line_sums, loaded, strict=True)
            ]
    following = builder.add(step, _number(unroll))
    step.add_incoming(following, loop)
    for line_phis, line_sums in zip(phis, sums, strict=True):
        for phi, total in zip(line_phis, line_sums, strict=True):
            phi.add_incoming(kind.zero, before)
            phi.add_incoming(total, loop)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
    builder.position_at_end(after)
    return sums


def _line(builder: Any, array: Any, row: Any) -> Any:
    return builder.gep(array.data, [builder.mul(row, builder.extract_value(array.shape, 1))])


def _vector(builder: Any, data: Any, place: Any) -> Any:
    return _load(builder, data, place, _FLOATS, 4)


def _put(builder: Any, sums: Any, outputs: Any, *, add: bool) -> None:
    for total, offset in zip(sums, _OFFSETS, strict=True):
        value = builder.fadd(_vector(builder, outputs, offset), total) if add else total
        builder.store(value, builder.bitcast(builder.gep(outputs, [offset]), _FLOATS.as_pointer()), align=4)
