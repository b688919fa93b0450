# SPDX-License-Identifier: LGPL-3.0-or-later
"""windows-redirector-VERSION-win64.zip: the whole tree, in one folder."""
import datetime
import zipfile

import sbom
from common import files_of


def write_zip(target, entries, epoch):
    """entries: (name, bytes). Everything that a zip could take from the machine is given by hand. The compressor is
    zlib's."""
    date = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for name, data in entries:
            entry = zipfile.ZipInfo(name, date.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever this is
            entry.external_attr = 0o100644 << 16
            package.writestr(entry, data)


def make(context):
    names = files_of(context.stage)
    target = context.dist / f"{context.stage.name}.zip"
    write_zip(target, ((f"{context.stage.name}/{name}", (context.stage / name).read_bytes()) for name in names),
              context.epoch)
    return [target], sbom.contents(context.stage, names)
