# Run as root in namespaces of its own: unshare --mount --cgroup --propagation private sh THIS DIR CMD…
# A real `systemd --user` whose runtime directory and home are DIR/run and DIR/home; CMD is run
# under it, and everything ends with it. Exit status 77: this machine does not let us.
set -u
directory=$1
shift
mkdir -p "$directory/run" "$directory/home"
chmod 700 "$directory/run"
export XDG_RUNTIME_DIR="$directory/run" HOME="$directory/home"
unset DBUS_SESSION_BUS_ADDRESS XDG_CONFIG_HOME XDG_STATE_HOME NOTIFY_SOCKET WATCHDOG_USEC
mount -t tmpfs none /run && mkdir -p /run/systemd/system || exit 77
mount -t cgroup2 none /sys/fs/cgroup || exit 77
systemd --user --log-target=null >/dev/null 2>&1 &
manager=$!
tries=0
until systemctl --user show --property=Version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $manager; then exit 77; fi
    sleep 0.1
done
"$@"
status=$?
systemctl --user exit >/dev/null 2>&1
wait $manager
exit $status
