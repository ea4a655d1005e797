"""Small JSON schemas at random, and what a reply that is kept to one says."""

from hypothesis import strategies as st

Schema = dict[str, object]

_NAMES = st.sampled_from(["a", "name", "größe", "x y", 'quote"'])
_leaves: st.SearchStrategy[Schema] = st.one_of(
    st.just({}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": "string", "maxLength": 8}),
    st.just({"type": "string", "pattern": "^[a-c]{1,4}$"}),
    st.tuples(st.integers(-50, 50), st.integers(0, 500)).map(
        lambda pair: {"type": "integer", "minimum": pair[0], "maximum": sum(pair)}
    ),
    st.just({"type": "number", "minimum": 0, "maximum": 10}),
    st.lists(st.sampled_from(["red", "東京", 1, -2, None, True]), min_size=1, max_size=4).map(
        lambda values: {"enum": values}
    ),
)


@st.composite
def _objects(draw: st.DrawFn, values: st.SearchStrategy[Schema]) -> Schema:
    properties = draw(st.dictionaries(_NAMES, values, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


schemas: st.SearchStrategy[Schema] = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        _objects(inner),
        inner.map(lambda items: {"type": "array", "items": items, "maxItems": 3}),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=5,
)
