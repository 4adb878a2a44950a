"""The details of one job: a head, and tabs below it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from mtntui.widgets.job_overview import configuration, head, overview
from mtntui.widgets.job_words import Pace
from mtntui.widgets.line_view import LineView
from mtntui.widgets.metric_plot import MetricPlot

if TYPE_CHECKING:
    from engine.store.jobs import JobRecord
    from mtntui.screens.jobs.following import Detail
    from mtntui.widgets.curves import Curve

Tab = Literal["overview", "curves", "log", "output", "configuration"]
TABS: tuple[Tab, ...] = get_args(Tab)


class Tabs(Widget):
    """The names of the tabs with their keys; a click chooses one."""

    DEFAULT_CSS = "Tabs { height: 1; margin: 1 0; color: $foreground-muted; }"

    class Clicked(Message):
        """The user wants this tab."""

        def __init__(self, tab: Tab) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self) -> None:
        super().__init__()
        self.tab: Tab = "overview"

    def choose(self, tab: Tab) -> None:
        """Show which one is open."""
        self.tab = tab
        self.refresh()

    def render(self) -> Content:
        """Their names; the open one stands out by more than its colour."""
        return Content("  ").join(self._label(at, tab) for at, tab in enumerate(TABS, 1))

    def _label(self, at: int, tab: Tab) -> Content:
        if tab == self.tab:
            return Content.styled(f"{at} {tab.capitalize()}", "bold underline $foreground")
        return Content.assemble((f"{at} ", "$text-accent"), tab.capitalize())

    def on_click(self, event: Click) -> None:
        """Find the name under the mouse."""
        end = 0
        for tab in TABS:
            end += len(tab) + 4
            if event.x < end:
                self.post_message(self.Clicked(tab))
                return


class JobDetail(Vertical):
    """Shows one job as it was read last. The screen reads, and asks `wants` for what."""

    DEFAULT_CSS = """
    JobDetail {
        width: 1fr;
        height: 1fr;
        padding: 1 2 0 2;
        & #job-head { height: auto; max-height: 8; }
        & #job-overview { height: 1fr; scrollbar-size-vertical: 1; }
        & #job-overview Static { height: auto; }
        & #job-find { display: none; height: 1; border: none; background: $boost; padding: 0 1; &:focus { border: none; } }
        &.-finding #job-find { display: block; }
        & .job-pane { display: none; }
        &.-overview #job-overview, &.-curves #job-curves, &.-log #job-log, &.-output #job-output,
        &.-configuration #job-configuration { display: block; }
        &.-empty Tabs, &.-empty .job-pane { display: none; }
    }
    """

    class TabOpened(Message):
        """Another tab is open, which may need more of the job."""

    def __init__(self) -> None:
        super().__init__(classes="-empty -overview")
        self.tabs = Tabs()
        self.plot = MetricPlot(id="job-curves")
        self.log_view = LineView("No lines yet.", id="job-log")
        self.output_view = LineView("Nothing was printed yet.", id="job-output")
        self.config_view = LineView("It has no fields.", follows=False, id="job-configuration")
        self._head = Content("")
        self._overview = Content("")
        self._last: tuple[Detail, Pace] | None = None

    def compose(self) -> ComposeResult:
        """Head, tabs, one pane for each, and the line to search with."""
        yield Static("", id="job-head", markup=False)
        yield self.tabs
        scroll = VerticalScroll(Static("", markup=False), id="job-overview", classes="job-pane")
        yield scroll
        for pane in (self.plot, self.log_view, self.output_view, self.config_view):
            yield pane.add_class("job-pane")
        find = Input(placeholder="Find", id="job-find", compact=True)
        find.cursor_blink = False
        yield find

    # Tabs

    @property
    def tab(self) -> Tab:
        """The open tab."""
        return self.tabs.tab

    def pane(self) -> Widget:
        """What takes the focus."""
        return self.query_one(f"#job-{self.tab}")

    def open_tab(self, tab: Tab) -> None:
        """Open a tab."""
        self.remove_class(f"-{self.tab}")
        self.add_class(f"-{tab}")
        self.tabs.choose(tab)
        self.post_message(self.TabOpened())

    @on(Tabs.Clicked)
    def _clicked(self, event: Tabs.Clicked) -> None:
        event.stop()
        self.open_tab(event.tab)

    # Content

    def show_nothing(self, sentence: str) -> None:
        """There is no job to show."""
        self._last = None
        self.add_class("-empty")
        self._tell_head(Content(sentence))

    def turn_to(self, job: JobRecord, pace: Pace) -> None:
        """Show the head of another job at once; the rest comes when it is read."""
        self._last = None
        self.remove_class("-empty")
        self.plot.clear()
        self.log_view.clear()
        self.output_view.clear()
        self.config_view.clear()
        self.config_view.replace(configuration(job))
        self.config_view.action_scroll(-1)
        self._tell_head(head(job, pace, self._width))
        self._tell_overview(Content(""))

    def show(self, detail: Detail, pace: Pace, other: Mapping[str, Curve] | None, other_title: str) -> None:
        """Show what was read of the job it is turned to."""
        self._last = (detail, pace)
        self._tell_words(detail, pace)
        if self.tab == "curves":
            self.plot.show(detail.curves, other, other_title)
        self.log_view.extend(
            f"{datetime.fromisoformat(line.time).astimezone():%H:%M:%S}  {line.line}" for line in detail.new_lines
        )
        if detail.output is not None:
            self.output_view.replace(detail.output)

    def _tell_words(self, detail: Detail, pace: Pace) -> None:
        job = detail.job
        self._tell_head(head(job, pace, self._width))
        if self.tab == "overview":
            self._tell_overview(overview(job, detail.before, detail.after, detail.artefacts, detail.curves, self._width))

    def on_resize(self) -> None:
        """Titles are cut to the width."""
        if self._last is not None:
            self._tell_words(*self._last)

    @property
    def _width(self) -> int:
        return max(20, self.size.width - 5)

    def _tell_head(self, content: Content) -> None:
        if not content.is_same(self._head):
            taller = content.plain.count("\n") != self._head.plain.count("\n")
            self._head = content
            self.query_one("#job-head", Static).update(content, layout=taller)

    def _tell_overview(self, content: Content) -> None:
        if not content.is_same(self._overview):
            taller = content.plain.count("\n") != self._overview.plain.count("\n")
            self._overview = content
            self.query_one("#job-overview Static", Static).update(content, layout=taller)

    # Finding

    @on(LineView.SearchWanted)
    def _search(self, event: LineView.SearchWanted) -> None:
        event.stop()
        self.add_class("-finding")
        find = self.query_one(Input)
        find.focus()
        find.action_select_all()

    @on(Input.Submitted, "#job-find")
    def _find(self, event: Input.Submitted) -> None:
        event.stop()
        view = self.pane()
        if isinstance(view, LineView):
            found = view.find(event.value)
            self.leave_search()
            if event.value and not found:
                self.notify("Nothing here holds these words.", severity="warning", timeout=3, markup=False)

    def leave_search(self) -> bool:
        """Close the line to search with; False when it was not open."""
        if not self.has_class("-finding"):
            return False
        self.remove_class("-finding")
        self.pane().focus()
        return True
