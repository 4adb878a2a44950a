"""A widget that shows a page, row by row as rows come into view."""

from textual.geometry import Region
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual

from mtntui.widgets.one_layout import OneLayout
from mtntui.widgets.page import Page


class _Row(Visual):
    """One row of a page."""

    def __init__(self, page: Page, y: int) -> None:
        self._page = page
        self._y = y

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        return [self._page.row(self._y, width, style, options)]

    def get_optimal_width(self, rules: object, container_width: int) -> int:
        return container_width

    def get_height(self, rules: object, width: int) -> int:
        return 1


class PageView(OneLayout):
    """Shows a page, as tall as it is. Its text can be selected with the mouse.

    A `Static` draws all of its rows for one that changed; here a row is drawn when it is seen, so the length of a
    message costs nothing but its layout.
    """

    DEFAULT_CSS = """
    PageView {
        width: 1fr;
        height: auto;
    }
    """

    def __init__(self, page: Page | None = None, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._page = page or Page()
        self.auto_links = False

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self._page

    def show(self, page: Page, changed_from: int = 0) -> None:
        """Show another page whose lines before `changed_from` are those of the last one."""
        width = self.size.width
        before, self._page = self._page, page
        if not width or before.height(width) != page.height(width):
            self.refresh(layout=True)
            return
        top = page.row_of(changed_from, width)
        self.refresh(Region(0, top, width, max(1, page.height(width) - top)))

    def render(self) -> Page:
        return self._page

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not 0 <= y < self._page.height(width):
            return Strip.blank(width, self.visual_style.rich_style)
        return Visual.to_strips(self, _Row(self._page, y), width, 1, self.visual_style)[0]

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return self._page.extract(selection).strip("\n"), "\n"
