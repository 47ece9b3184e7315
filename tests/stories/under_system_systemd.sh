# Run as root in namespaces of its own:
#   unshare --mount --pid --fork --cgroup --propagation private --kill-child sh THIS DIR
# A real `systemd --system` as first process, on an overlay over this machine's root, which keeps
# nothing. It runs DIR/job.sh, which writes to DIR/job.log; DIR is /share there. Exit status 77:
# this machine does not let us.
set -u
directory=$1
root=$directory/overlay/root
mkdir -p "$directory/overlay"
mount -t tmpfs none "$directory/overlay" || exit 77
mkdir -p "$directory/overlay/upper" "$directory/overlay/work" "$root"
mount -t overlay overlay -o \
    "lowerdir=/,upperdir=$directory/overlay/upper,workdir=$directory/overlay/work" "$root" || exit 77
mkdir -p "$root/old" "$root/share" "$root/etc/systemd/system"
mount -t proc proc "$root/proc" || exit 77
mount --rbind /dev "$root/dev" || exit 77
mount -t sysfs sysfs "$root/sys" || exit 77
mount -t cgroup2 none "$root/sys/fs/cgroup" || exit 77
mount -t tmpfs none "$root/run" || exit 77
mount --bind "$directory" "$root/share" || exit 77
cat > "$root/etc/systemd/system/trial.target" <<UNIT
[Unit]
Wants=trial.service
AllowIsolate=yes
DefaultDependencies=no
UNIT
cat > "$root/etc/systemd/system/trial.service" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /share/job.sh
ExecStopPost=/bin/sh -c 'systemctl --force --force poweroff >/dev/null 2>&1'
StandardOutput=append:/share/job.log
StandardError=inherit
TimeoutStartSec=80
UNIT
cd "$root" || exit 77
pivot_root . old || exit 77
exec env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=trial.target --log-target=null --show-status=no
