"""The last words of a start: where the mesh is, how to sign in, and one command to try."""

import shlex

from services.launcher.account import Files

_QUERY = '{"query": "{ viewer { email } models { id ready } }"}'


def welcome(origin: str, email: str, files: Files) -> str:
    key = shlex.quote(str(files.api_key))
    return f"""
Parley is ready: {origin}

  GraphiQL   {origin}/graphiql
  Sign in    {email} with the password in {files.password}; programs send the key in {files.api_key}
  Try it     curl -s {origin}/graphql -H "Authorization: Bearer $(cat {key})" \\
               -H "Content-Type: application/json" -d '{_QUERY}'

Ctrl-C stops it.
"""
