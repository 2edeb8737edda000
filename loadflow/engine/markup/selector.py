"""CSS selectors as expressions of XPath, by `cssselect`: both engines evaluate them as such, so there is one language to agree on."""

from __future__ import annotations

from loadflow.engine.markup.xpath import Program, parsed_xpath

__all__ = ["parsed_selector"]

LONGEST = 1_000  # characters of a selector


def parsed_selector(text: str) -> tuple[Program, Program]:
    """Where it leads in HTML, whose names are in any case, and in XML. Raises ValueError with a text for the author.

    >>> parsed_selector("a")[0]["path"]["steps"][0]["axis"]
    'descendant-or-self'
    """
    from cssselect import (  # few scripts have selectors, and none should start later for it
        GenericTranslator,
        HTMLTranslator,
        SelectorError,
        parse,
    )

    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST:,} characters")
    if "|" in text.replace("|=", ""):
        raise ValueError("has a prefix of a namespace; take it from xpath, with namespaces")
    try:
        selectors = parse(text)
        if any(one.pseudo_element is not None for one in selectors):
            raise ValueError("has a pseudo-element; the text is taken where there is no attribute")
        found = [
            parsed_xpath(" | ".join(kind.selector_to_xpath(one) for one in selectors), any_namespace=True)
            for kind in (HTMLTranslator(), GenericTranslator())
        ]
    except SelectorError as error:
        raise ValueError(f"is not a selector that is taken: {error}") from None
    except RecursionError:
        raise ValueError("has brackets too deep") from None
    return found[0], found[1]
