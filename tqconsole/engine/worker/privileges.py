"""`--uid`, `--gid`, `--umask`: become somebody else before anything is opened."""

from __future__ import annotations

import grp
import os
import pwd

import msgspec

from tqconsole.engine.exceptions import ImproperlyConfigured


class Privileges(msgspec.Struct, frozen=True):
    """Whom a worker is to be. None leaves as it is."""

    user_id: int | None = None
    group_id: int | None = None
    umask: int | None = None

    def take(self) -> None:
        """Become it. Raises: ImproperlyConfigured where the system refuses."""
        try:
            if self.umask is not None:
                os.umask(self.umask)
            if self.group_id is not None and self.group_id != os.getegid():
                os.setgid(self.group_id)
            if self.user_id is not None and self.user_id != os.geteuid():
                name = pwd.getpwuid(self.user_id).pw_name
                group_id = os.getegid() if self.group_id is None else self.group_id
                os.initgroups(name, group_id)
                os.setuid(self.user_id)
        except (OSError, KeyError) as error:
            raise ImproperlyConfigured(
                f"--uid {self.user_id}, --gid {self.group_id}: {error}; only root may change them"
            ) from error


def privileges_of(user: str | None, group: str | None, umask: str | None) -> Privileges:
    """Read a user's and a group's name or number and an octal umask.

    A user alone brings its group along. Raises: ImproperlyConfigured for what there is not.
    """
    user_id = None if user is None else _user_id(user)
    group_id = None if group is None else _group_id(group)
    if user_id is not None and group_id is None:
        try:
            group_id = pwd.getpwuid(user_id).pw_gid
        except KeyError:
            group_id = None
    return Privileges(user_id, group_id, None if umask is None else _umask(umask))


def _user_id(user: str) -> int:
    try:
        return int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise ImproperlyConfigured(f"--uid {user}: this machine has no such user") from error


def _group_id(group: str) -> int:
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ImproperlyConfigured(f"--gid {group}: this machine has no such group") from error


def _umask(umask: str) -> int:
    try:
        mask = int(umask, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ImproperlyConfigured(f"--umask {umask}: it is an octal number as 022")
    return mask
