"""A private temporary folder, reached by descriptor so that no link a program planted leads out of it.

Standard library only: the launcher uses it too.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# O_EXCL: a link that appears after the unlink is an error, not a way out.
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OF_THE_PATH = {
    errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM,
    errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTEMPTY, errno.EILSEQ,
}  # fmt: skip


class Workspace:
    """An existing private folder, `path`, held open. Whoever is last must `remove` it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._root = os.open(path, _FOLDER)

    def enter(self) -> None:
        """Make it the working folder of this process, even if a program has renamed it."""
        os.fchdir(self._root)

    def read(self, names: tuple[str, ...], max_bytes: int) -> bytes:
        """Return a regular file's bytes.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is a link, no regular file, or larger than `max_bytes`.
        """
        with _blaming(names), self._parent(names, make=False) as folder:
            descriptor = os.open(names[-1], _READ, dir_fd=folder)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                    raise ValueError(f"path={'/'.join(names)!r:.200}: is no regular file of its own")
                data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise ValueError(f"path={'/'.join(names)!r:.200}: {status.st_size} bytes; at most {max_bytes} are read")
        return data

    def write(self, names: tuple[str, ...], data: bytes) -> None:
        """Write a file, making its folders; what stood there, a link for instance, is replaced and not followed.

        Raises:
            ValueError: a folder stands there, or a link or file stands where a folder should.
            OSError: the disk is full, or the folder is gone.
        """
        with _blaming(names), self._parent(names, make=True) as folder:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(names[-1], dir_fd=folder)
            with open(os.open(names[-1], _WRITE, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)

    def empty(self) -> None:
        """Remove everything inside. Nothing may run in it meanwhile.

        Raises:
            OSError: the folder itself is gone, or something in it cannot be removed.
        """
        if os.fstat(self._root).st_nlink == 0:
            raise FileNotFoundError(f"the work space {self.path} was removed")
        os.fchmod(self._root, 0o700)
        _clear(self._root)

    def remove(self) -> None:
        """Remove the folder and give its descriptor back. Doing so twice is allowed."""
        if self._root < 0:
            return
        with contextlib.suppress(OSError):
            self.empty()
            os.rmdir(self.path)
        self.forget()

    def forget(self) -> None:
        """Give back the descriptor and leave the folder: it is another process's to remove."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    @contextlib.contextmanager
    def _parent(self, names: tuple[str, ...], *, make: bool) -> Iterator[int]:
        folder = os.open(".", _FOLDER, dir_fd=self._root)
        try:
            for name in names[:-1]:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=folder)
                inner = os.open(name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


@contextlib.contextmanager
def _blaming(names: tuple[str, ...]) -> Iterator[None]:
    """Turn what the path is to blame for into `ValueError`; a full disk stays an `OSError`."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_THE_PATH:
            raise ValueError(f"path={'/'.join(names)!r:.200}: {error.strerror}") from error
        raise


def _clear(root: int) -> None:
    """Remove what is in the folder `root`, without recursion, long paths or a descriptor for each level."""
    folder = os.open(".", _FOLDER, dir_fd=root)
    pending = [_unlink_files(folder)]  # of each folder from the root down, the folders still in it
    places = [_place(folder)]
    try:
        while pending[-1] or len(pending) > 1:
            down = bool(pending[-1])
            if down:
                os.chmod(pending[-1][-1], 0o700, dir_fd=folder)
            beside = os.open(pending[-1][-1] if down else "..", _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = beside
            if down:
                pending.append(_unlink_files(folder))
                places.append(_place(folder))
                continue
            pending.pop()
            places.pop()
            if _place(folder) != places[-1]:
                raise OSError(errno.EBUSY, "a folder was moved while it was emptied")
            os.rmdir(pending[-1].pop(), dir_fd=folder)
    finally:
        os.close(folder)


def _place(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def _unlink_files(folder: int) -> list[str]:
    """Remove what is no folder, and return the names of the folders."""
    return [name for name in os.listdir(folder) if not _unlinked(folder, name)]


def _unlinked(folder: int, name: str) -> bool:
    """Remove what is no folder; tell whether it was none."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):
        # macOS answers EPERM for a folder.
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return False
        raise
    return True
