import httpx

from services.chassis.tokens import SPARE_SECONDS
from services.edge.session import Credential
from tests.edge.asking import ask, data, error
from tests.edge.mesh import Mesh
from tests.edge.running import Edge, running
from tests.edge.state import PASSWORD, Person

VIEWER = "{ viewer { email } }"
SIGN_IN = "mutation($input: SignInInput!) { signIn(input: $input) { email usage { reservedTokens } } }"
OURS = {"x-parley-csrf": "1"}


async def sign_in(client: httpx.AsyncClient, person: Person) -> httpx.Response:
    given = {"email": person.account.email, "password": PASSWORD}
    return await client.post("/graphql", json={"query": SIGN_IN, "variables": {"input": given}})


def session(response: httpx.Response) -> dict[str, str]:
    """The headers of a browser that has the response's cookie, on our own page."""
    return {"cookie": response.headers["set-cookie"].partition(";")[0], **OURS}


async def test_signing_in_sets_a_cookie_that_scripts_cannot_read(edge: Edge, ada: Person) -> None:
    async with edge.client() as client:
        response = await sign_in(client, ada)
        assert response.json() == {"data": {"signIn": {"email": ada.account.email, "usage": {"reservedTokens": 5}}}}
        cookie, *attributes = response.headers["set-cookie"].split("; ")
        assert cookie.startswith("__Host-parley=rt_")
        assert set(attributes) - {"Max-Age=3600", "Max-Age=3599"} == {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"}
        client.headers.update(session(response))
        assert await data(client, VIEWER) == {"viewer": {"email": ada.account.email}}


async def test_signing_out_ends_the_session_at_once(edge: Edge, ada: Person) -> None:
    async with edge.client() as client:
        client.headers.update(session(await sign_in(client, ada)))
        await data(client, VIEWER)
        response = await client.post("/graphql", json={"query": "mutation { signOut }"})
        assert response.json() == {"data": {"signOut": True}}
        assert response.headers["set-cookie"].startswith("__Host-parley=; Max-Age=0;")
        assert (await error(client, VIEWER))["code"] == "UNAUTHENTICATED"
        # Whoever's session has ended may still sign in.
        assert (await sign_in(client, ada)).status_code == 200


async def test_signing_out_without_a_session(client: httpx.AsyncClient) -> None:
    assert await data(client, "mutation { signOut }") == {"signOut": False}


async def test_a_wrong_password(edge: Edge, ada: Person) -> None:
    async with edge.client() as client:
        given = {"email": ada.account.email, "password": "a guess, a long one"}
        assert (await error(client, SIGN_IN, input=given)) == {"code": "INVALID_CREDENTIALS"}


async def test_a_cookie_counts_only_from_our_own_pages(edge: Edge, ada: Person) -> None:
    async with edge.client() as client:
        signed_in = session(await sign_in(client, ada))
        cookie = {"cookie": signed_in["cookie"]}
        for forged in (
            cookie,
            {**signed_in, "origin": "https://evil.example"},
            {**signed_in, "origin": f"http://127.0.0.1:{edge.port + 1}"},
            {**signed_in, "origin": "null"},
            {**signed_in, "origin": "http://["},
            {**signed_in, "sec-fetch-site": "cross-site"},
            {**signed_in, "sec-fetch-site": "same-site"},
        ):
            response = await client.post("/graphql", json={"query": VIEWER}, headers=forged)
            assert response.status_code == 403
            assert response.json()["errors"][0]["extensions"]["code"] == "PERMISSION_DENIED"
        for honest in (
            {**signed_in, "origin": edge.url, "sec-fetch-site": "same-origin"},
            {**signed_in, "sec-fetch-site": "none"},
            {**cookie, "authorization": f"Bearer {ada.api_key}", "origin": "https://tool.example"},
        ):
            response = await client.post("/graphql", json={"query": VIEWER}, headers=honest)
            assert response.json() == {"data": {"viewer": {"email": ada.account.email}}}


async def test_plain_http_may_have_a_plain_cookie(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, secure_cookie=False) as edge, edge.client() as client:
        response = await sign_in(client, ada)
        assert response.headers["set-cookie"].startswith("parley=rt_")
        assert "Secure" not in response.headers["set-cookie"]
        # A client with a cookie jar needs nothing else.
        assert await ask(client, VIEWER) != {"data": {"viewer": {"email": ada.account.email}}}
        client.headers.update(OURS)
        assert await data(client, VIEWER) == {"viewer": {"email": ada.account.email}}


async def test_a_credential_that_does_not_work(edge: Edge) -> None:
    async with edge.client() as client:
        for authorization in (
            "Bearer nonsense",
            "Bearer a.b.c",
            "Bearer",
            "Basic eDp5",
            "Bearer " + "x" * 5000,
            "nonsense",
        ):
            headers = {"authorization": authorization}
            response = await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


async def test_nobody_may_look_at_the_schema_and_nothing_else(edge: Edge) -> None:
    async with edge.client() as client:
        assert await data(client, "{ __schema { queryType { name } } }")
        for query in (VIEWER, "{ models { id } }", "{ conversations { nodes { id } } }"):
            assert (await error(client, query)) == {"code": "UNAUTHENTICATED"}


async def test_a_caller_is_remembered_while_his_token_lives(mesh: Mesh, ada: Person) -> None:
    async with running(mesh) as edge, edge.client(ada) as client:
        for _ in range(3):
            await data(client, VIEWER)
        subjects = [request for request in mesh.state.calls("ExchangeToken") if ada.api_key in str(request)]
        assert len(subjects) == 1
        mesh.state.credentials.clear()
        await data(client, VIEWER)
        edge.house.sessions.forget(Credential(ada.api_key))
        assert (await ask(client, VIEWER))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_token_that_is_about_to_end_is_exchanged_again(mesh: Mesh, ada: Person) -> None:
    mesh.state.token_seconds = SPARE_SECONDS - 1
    async with running(mesh, cached_callers=1) as edge, edge.client(ada) as client:
        for _ in range(2):
            await data(client, VIEWER)
        subjects = [request for request in mesh.state.calls("ExchangeToken") if ada.api_key in str(request)]
        assert len(subjects) >= 2
