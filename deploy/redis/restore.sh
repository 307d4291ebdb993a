#!/bin/sh
# Makes the snapshot restore.rdb in Redis's data folder the state of the next start. Runs beside Redis, in its container, with
# `sh -s < deploy/redis/restore.sh`; ../RUNBOOK.md has the steps before and after it.
#
# A Redis with `appendonly yes` ignores dump.rdb. It starts from its append-only files, so the snapshot becomes the first of
# them. The old ones stay in a folder beside them.
set -eu

folder=$(redis-cli config get dir | sed -n 2p)
cd "$folder"
[ "$(head -c 5 restore.rdb)" = REDIS ] || { echo "$folder/restore.rdb is no snapshot of Redis" >&2; exit 1; }

# Until its next start, Redis writes no append-only file.
[ "$(redis-cli config set appendonly no)" = OK ] || { echo 'Redis refuses to close its append-only file' >&2; exit 1; }
if [ -d appendonlydir ]; then
  mv appendonlydir "appendonlydir-before-$(date -u +%Y%m%dT%H%M%SZ)"
fi
mkdir -m 700 appendonlydir
mv restore.rdb appendonlydir/appendonly.aof.1.base.rdb
echo 'file appendonly.aof.1.base.rdb seq 1 type b' > appendonlydir/appendonly.aof.manifest
# Redis itself may run as another user.
[ "$(id -u)" != 0 ] || chown -R --reference=. appendonlydir
echo "restart Redis now: it loads the snapshot"
