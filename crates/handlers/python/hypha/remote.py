"""A function that another client of the hub has."""


class RemoteFunction:
    """Calling it sends the call; what it gives back is awaited for the answer."""

    def __init__(self, client, encoded, parent):
        self._client = client
        self._parent = parent
        self.__rpc_object__ = encoded
        name = encoded.get("_rname") or str(encoded["_rmethod"]).rsplit(".", 1)[-1].rsplit("#", 1)[-1]
        self.__name__ = str(name)
        self.__doc__ = encoded.get("_rdoc")
        self.__schema__ = encoded.get("_rschema")

    def __call__(self, *args, **named):
        about = self.__rpc_object__
        wanted = about.get("_rpromise")
        return self._client.call(about["_rtarget"], about["_rmethod"], args, named, self._parent, answered=bool(wanted))

    def __repr__(self):
        return f"RemoteFunction({self.__name__!r})"
