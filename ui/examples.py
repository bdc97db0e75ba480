"""Texts for a first try, in several languages and scripts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """`language` is a primary tag: the Speak tab chooses a voice that speaks it."""

    name: str
    language: str
    text: str


EXAMPLES = (
    Example(
        "English",
        "en",
        "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. "
        "It is easy to tell the depth of a well.",
    ),
    Example(
        "Deutsch",
        "de",
        "Guten Morgen! Der Zug nach Köln fährt heute um 8:15 Uhr ab, von Gleis 12. "
        "Bitte Vorsicht an der Bahnsteigkante.",
    ),
    Example(
        "Français",
        "fr",
        "Il était une fois une petite ville au bord de la mer. Chaque soir, le phare s'allumait, "
        "et les bateaux rentraient au port.",
    ),
    Example(
        "Español",
        "es",
        "La receta es muy sencilla. Se calientan 200 gramos de azúcar, se añade un poco de limón, "
        "y se deja reposar media hora.",
    ),
    Example(
        "Italiano",
        "it",
        "Viva voce vuol dire parlare, invece di scrivere. Così le parole prendono vita, "
        "una dopo l'altra.",
    ),
    Example("Polski", "pl", "Dzień dobry! Dzisiaj będzie słonecznie, najwyżej 21 stopni."),
    Example("Русский", "ru", "Доброе утро! Сегодня у нас в программе музыка, новости и погода."),
    Example("العربية", "ar", "صباح الخير. هذا مثال قصير لنص يُقرأ بصوت عالٍ."),
    Example("हिन्दी", "hi", "नमस्ते! यह एक छोटा सा उदाहरण है।"),
    Example("中文", "zh", "早上好！今天天气很好，我们一起去公园散步吧。"),
)
