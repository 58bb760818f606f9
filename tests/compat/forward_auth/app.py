"""A FastAPI app that believes what the proxy says of its callers, and tells what it was told."""

from fastapi import FastAPI, Request

app = FastAPI()


@app.api_route("/{path:path}", methods=["GET", "POST", "DELETE"])
async def told(request: Request, path: str) -> dict:
    return {
        "path": request.url.path,
        "method": request.method,
        "body": (await request.body()).decode(),
        "headers": [[name.decode(), value.decode()] for name, value in request.headers.raw],
    }
