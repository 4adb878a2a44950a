"""A widget whose growth costs one layout of the screen and not two."""

from textual.geometry import Size
from textual.widget import Widget


class OneLayout(Widget):
    """Textual lays the screen out once more whenever a widget's virtual size has changed, since a scrollbar that comes or goes
    takes room. These have none, or one whose place is kept free, so the second layout would be the first again: half of what a
    growing reply cost.
    """

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        return super()._size_updated(size, virtual_size, container_size, layout=False)
