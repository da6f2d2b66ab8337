"""Which plugins there are: registered, checked, in order, and each callable by itself."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

import attrs
import pluggy
from loguru import logger

from turnout import hookspecs
from turnout.errors import PluginError
from turnout.loading import Found
from turnout.markers import NAME

DEFAULT_ORDER = ("explicit", "*", "task_based", "capability", "performance", "fallback")
"""``*`` stands for the strategies of third parties, in the order of their names."""

Caller = Callable[..., object]


class Registry:
    """Holds the plugins. One that is not valid is left out, and said so in ``found``."""

    def __init__(self, found: Iterable[Found] = (), order: Sequence[str] = ()) -> None:
        self._hooks = pluggy.PluginManager(NAME)
        self._hooks.add_hookspecs(hookspecs)
        self._order = tuple(order)
        self._found: dict[str, Found] = {}
        self._failed: list[Found] = []
        self._reported: set[tuple[str, str]] = set()
        found = [self._with_hooks(one) for one in found]
        # pluggy asks the last registered first, so the first name is registered last.
        for one in sorted(found, key=lambda f: f.name, reverse=True):
            self._register(one)
        self._bind()

    @property
    def found(self) -> tuple[Found, ...]:
        """Every plugin, in name order, the broken ones with their error."""
        return tuple(sorted((*self._found.values(), *self._failed), key=lambda f: (f.name, f.status)))

    def add(self, name: str, plugin: object) -> None:
        """Register one more plugin, ahead of all others; raises ``PluginError`` if it is not valid."""
        if name in self._found:
            message = f"a plugin is already called {name!r}"
            raise PluginError(message, advice="Give it another name.")
        self._register(self._with_hooks(Found(name, "code", plugin=plugin)))
        failed = next((f for f in self._failed if f.name == name and f.origin == "code"), None)
        if failed is not None:
            self._failed.remove(failed)
            message = f"plugin {name!r}: {failed.error}"
            raise PluginError(message)
        self._bind()

    def remove(self, name: str, error: str) -> None:
        """Leave a plugin out from now on, because of *error*."""
        found = self._found.pop(name)
        self._hooks.unregister(name=name)
        self._failed.append(attrs.evolve(found, status="failed", error=error, plugin=None))
        self._bind()
        logger.warning("plugin {!r} is left out: {}", name, error)

    def _with_hooks(self, found: Found) -> Found:
        """Take in the hooks that a plugin brings itself; it fails where they are not valid."""
        try:
            specs = getattr(found.plugin, "hookspecs", None)
            if specs is not None and specs is not hookspecs:
                self._hooks.add_hookspecs(specs)
        except Exception as error:  # noqa: BLE001  the plugin boundary
            message = f"its hookspecs are not valid: {error}"
            return attrs.evolve(found, status="failed", error=message, plugin=None)
        return found

    def _register(self, found: Found) -> None:
        if found.status != "ok":
            self._failed.append(found)
            if found.status == "failed":
                logger.warning("plugin {!r} ({}) is left out: {}", found.name, found.origin, found.error)
            return
        try:
            self._check(found.plugin)
            self._hooks.register(found.plugin, found.name)
            hooks = self._implemented(found.plugin)
        except (ValueError, TypeError, AttributeError, pluggy.PluginValidationError, PluginError) as error:
            if self._hooks.get_plugin(found.name) is not None:
                self._hooks.unregister(name=found.name)
            message = " ".join(str(error).split())
            self._failed.append(attrs.evolve(found, status="failed", error=message, plugin=None))
            logger.warning("plugin {!r} ({}) is left out: {}", found.name, found.origin, message)
            return
        self._found[found.name] = attrs.evolve(found, hooks=hooks)

    def _check(self, plugin: object) -> None:
        """Refuse what pluggy would accept and then call wrongly."""
        if getattr(plugin, "__hash__", None) is None:
            message = "it cannot be hashed: give its class eq=False"
            raise PluginError(message)
        for name in dir(plugin):
            options = self._hooks.parse_hookimpl_opts(plugin, name)
            if options is None:
                continue
            function = getattr(plugin, name)
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                message = f"{name} is an async def: make it a plain def that returns its work, or None"
                raise PluginError(message)
            for parameter in inspect.signature(function).parameters.values():
                if parameter.default is not parameter.empty or parameter.kind is parameter.KEYWORD_ONLY:
                    message = f"{name}: argument {parameter.name!r} may have no default, nor be keyword-only"
                    raise PluginError(message)

    def _implemented(self, plugin: object) -> tuple[str, ...]:
        """Return the names of the hooks that *plugin* implements; raises for one that does not exist."""
        callers = self._hooks.get_hookcallers(plugin) or []
        for caller in callers:
            optional = any(i.optionalhook for i in caller.get_hookimpls() if i.plugin is plugin)
            if not caller.has_spec() and not optional:
                message = f"there is no hook {caller.name!r}"
                raise PluginError(message)
        return tuple(sorted(caller.name for caller in callers))

    def _bind(self) -> None:
        """Forget the callers of another set of plugins: they are built once for each set."""
        self._each: dict[str, list[tuple[str, Caller]]] = {}
        self._strategies = self._ordered(dict(self.each("select_model")))

    def each(self, hook: str) -> list[tuple[str, Caller]]:
        """Return a caller for every plugin that implements *hook*, each with the hook's wrappers."""
        if hook not in self._each:
            self._each[hook] = self._callers(hook)
        return self._each[hook]

    def _callers(self, hook: str) -> list[tuple[str, Caller]]:
        hook_caller = getattr(self._hooks.hook, hook)
        implementations = hook_caller.get_hookimpls()
        if hook_caller.spec is not None and not any(i.wrapper or i.hookwrapper for i in implementations):
            first = bool(hook_caller.spec.opts["firstresult"])
            return [(i.plugin_name, _direct(i, first_result=first)) for i in reversed(implementations)]
        plugins = [i.plugin for i in reversed(implementations) if not (i.wrapper or i.hookwrapper)]
        return [
            (
                self._hooks.get_name(plugin) or "?",
                self._hooks.subset_hook_caller(hook, [other for other in plugins if other is not plugin]),
            )
            for plugin in plugins
        ]

    def _ordered(self, callers: Mapping[str, Caller]) -> list[tuple[str, Caller]]:
        order = self._order or DEFAULT_ORDER
        strangers = [name for name in callers if name not in order and name not in DEFAULT_ORDER]
        names: list[str] = []
        for name in order:
            names.extend(strangers if name == "*" else [name])
        return [(name, callers[name]) for name in names if name in callers]

    @property
    def strategies(self) -> Sequence[tuple[str, Caller]]:
        """The strategies with their callers, in the order in which they are asked."""
        return self._strategies

    @property
    def unknown_strategies(self) -> tuple[str, ...]:
        """Names in the configured order that no strategy has, not even one that is left out."""
        known = {*self.known_strategies, *(found.name for found in self._failed)}
        return tuple(name for name in self._order if name != "*" and name not in known)

    @property
    def known_strategies(self) -> tuple[str, ...]:
        """The names of all strategies, whether the configured order has them or not."""
        return tuple(name for name, _ in self.each("select_model"))

    def isolated(self, hook: str, **arguments: object) -> Iterator[tuple[str, object]]:
        """Call each implementation by itself; an error costs only its own answer."""
        for name, caller in self.each(hook):
            try:
                answer = caller(**arguments)
            except Exception as error:  # noqa: BLE001  the plugin boundary
                self.report(name, hook, error)
                continue
            for one in answer if isinstance(answer, list) else [answer]:
                if one is not None:
                    yield name, one

    def report(self, name: str, hook: str, error: BaseException) -> None:
        """Log a plugin's error, the first of each kind loudly and the rest for the curious."""
        key = name, f"{hook} {type(error).__name__}"
        level = "DEBUG" if key in self._reported else "WARNING"
        self._reported.add(key)
        logger.log(level, "plugin {!r} failed in {}: {}: {}", name, hook, type(error).__name__, error)


def _direct(implementation: pluggy.HookImpl, *, first_result: bool) -> Caller:
    """Return what calls one implementation as pluggy does, which would look for it at each call."""
    function, names = implementation.function, implementation.argnames
    taken = itemgetter(*names) if len(names) > 1 else lambda arguments: [arguments[name] for name in names]

    def first(**arguments: object) -> object:
        return function(*taken(arguments))

    def every(**arguments: object) -> list[object]:
        return [function(*taken(arguments))]

    return first if first_result else every
