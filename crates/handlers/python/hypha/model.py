"""Classes that behave as the models of Hypha's package do, without the library it makes them with: made by keyword, checked, dumped, compared."""

import copy
import json
import math
import re

#: Marks a field that has to be given.
NEEDED = object()
_EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]\x00-\x1f\x7f]{1,64}@((?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?)")


class ValidationError(ValueError):
    """A field that is missing or is not what it should be."""

    def __init__(self, model, field, what):
        super().__init__(f"{model}: {field}: {what}")
        self.model = model
        self.field = field
        self.what = what


class Model:
    """Subclasses say in `_fields` how each field is read and what it is when it is left out; `_open` ones keep what they do not know."""

    _fields = {}
    _open = False

    def __init__(self, **given):
        for name, (read, default) in self._fields.items():
            if name in given:
                self.__dict__[name] = self._read(name, read, given.pop(name))
            elif default is NEEDED:
                raise ValidationError(type(self).__name__, name, "it is needed")
            else:
                self.__dict__[name] = copy.copy(default)
        if self._open:
            self.__dict__.update(given)
        self._begin()

    def _begin(self):
        """What a model holds beside its fields."""

    def _read(self, name, read, value):
        try:
            return read(value)
        except ValidationError as error:
            raise ValidationError(type(self).__name__, f"{name}.{error.field}", error.what) from None
        except (ValueError, TypeError) as error:
            raise ValidationError(type(self).__name__, name, str(error)) from None

    def _public(self):
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setattr__(self, name, value):
        if not name.startswith("_") and not self._open and name not in self._fields:
            raise ValueError(f"{type(self).__name__} has no field {name}")
        self.__dict__[name] = value

    def __eq__(self, other):
        return type(other) is type(self) and other._public() == self._public()

    __hash__ = None

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._public().items())})"

    def __iter__(self):
        return iter(self._public().items())

    @classmethod
    def model_validate(cls, value, **_):
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            raise ValidationError(cls.__name__, "", f"a map is needed, not {type(value).__name__}")
        return cls(**{str(name): one for name, one in value.items()})

    parse_obj = model_validate

    @classmethod
    def model_validate_json(cls, text, **_):
        return cls.model_validate(json.loads(text))

    @classmethod
    def model_construct(cls, **given):
        return cls(**given)

    def model_dump(self, mode="python", include=None, exclude=None, exclude_none=False, **_):
        """A map of it, models within it too; of plain JSON with `mode="json"`."""
        made = {}
        for name, value in self._public().items():
            if include is not None and name not in include or exclude is not None and name in exclude or exclude_none and value is None:
                continue
            made[name] = dumped(value, mode, exclude_none)
        return made

    def dict(self, **options):
        return self.model_dump(**options)

    def model_dump_json(self, indent=None, **options):
        return json.dumps(self.model_dump(mode="json", **options), indent=indent)

    def json(self, **options):
        return self.model_dump_json(**options)

    def model_copy(self, update=None, deep=False):
        made = copy.deepcopy(self) if deep else copy.copy(self)
        made.__dict__.update(update or {})
        return made

    def copy(self, update=None, deep=False, **_):
        return self.model_copy(update, deep)


def dumped(value, mode, exclude_none):
    if isinstance(value, Model):
        return value.model_dump(mode=mode, exclude_none=exclude_none)
    if isinstance(value, dict):
        return {name: dumped(one, mode, exclude_none) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [dumped(one, mode, exclude_none) for one in value]
    return value.value if mode == "json" and hasattr(value, "value") and isinstance(value, str) else value


# How fields are read.


def text(value):
    if not isinstance(value, str):
        raise ValueError(f"a text is needed, not {type(value).__name__}")
    return value


def bounded(most):
    def read(value):
        if len(text(value)) > most:
            raise ValueError(f"at most {most} characters are taken")
        return value

    return read


def flag(value):
    if not isinstance(value, bool):
        raise ValueError(f"true or false is needed, not {type(value).__name__}")
    return value


def number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("a number is needed")
    return float(value)


def whole(value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {type(value).__name__}")
    return value


def email(value):
    found = _EMAIL.fullmatch(text(value)) if len(text(value)) <= 254 else None
    local = value.rpartition("@")[0]
    if found is None or local.startswith(".") or local.endswith(".") or ".." in local:
        raise ValueError("it is no e-mail address")
    return f"{local}@{found.group(1).lower()}"


def optional(read):
    return lambda value: None if value is None else read(value)


def list_of(read):
    def read_all(value):
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"a list is needed, not {type(value).__name__}")
        return [read(one) for one in value]

    return read_all


def map_of(read):
    def read_all(value):
        if not isinstance(value, dict):
            raise ValueError(f"a map is needed, not {type(value).__name__}")
        return {text(name): read(one) for name, one in value.items()}

    return read_all


def one_of(enum):
    def read(value):
        try:
            return enum(value)
        except ValueError:
            raise ValueError(f"{value!r} is none of {', '.join(one.value for one in enum)}") from None

    return read


def anything(value):
    return value
