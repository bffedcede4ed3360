#!/bin/bash
# boot.sh TREE: systemd as PID 1 on a throw-away copy of this machine, with the files of TREE laid over it and no units of
# the machine's own in /etc. Namespaces hold it: whatever it starts dies with it. The network is the machine's.
set -eu
name=effe-boot-$(basename "$1")
if [ "${2-}" != inside ]; then
    clean() {  # once the last process is gone
        for _ in {1..100}; do
            find "${groups[@]}" -depth -type d -exec rmdir {} + 2>/dev/null || true
            compgen -G "/sys/fs/cgroup/*/$name" >/dev/null || [ -d "/sys/fs/cgroup/$name" ] || return 0
            sleep 0.05
        done
    }
    trap clean EXIT
    groups=()
    while read -r _ place type _; do
        case $type in cgroup | cgroup2) groups+=("$place/$name") ;; esac
    done </proc/self/mounts
    for group in "${groups[@]}"; do
        mkdir "$group"
        [ ! -e "$group/cpuset.cpus" ] || [ "$(stat -fc %T "$group")" = cgroup2fs ] || {
            cat "$group/../cpuset.cpus" >"$group/cpuset.cpus"
            cat "$group/../cpuset.mems" >"$group/cpuset.mems"
        }
    done
    # In a process of its own: a group with a process in it cannot be removed.
    (
        for group in "${groups[@]}"; do echo $BASHPID >"$group/cgroup.procs"; done
        exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup "$0" "$1" inside
    ) &
    trap 'kill -KILL $!' TERM
    wait $! || wait $! || true
    exit
fi
mount --make-rprivate /
mounts=$(</proc/self/mounts)
work=$(mktemp -d)
mount -t tmpfs tmpfs "$work"
root=$work/root
mkdir "$work"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"
rm -rf "$root/etc/systemd/system" "$root/etc/fstab" "$root/var/log/journal"
cp -r "$1"/. "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys" # the kernel is the machine's
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    while read -r _ place type options _; do
        case $type in cgroup | cgroup2) ;; *) continue ;; esac
        mkdir "$root$place"
        case $place in
            */unified) mount -t cgroup2 cgroup2 "$root$place" ;;
            */systemd) mount -t cgroup -o none,name=systemd cgroup "$root$place" ;;
            *) mount -t cgroup -o "${options##*relatime,}" cgroup "$root$place" ;;
        esac
    done <<<"$mounts"
fi
cd "$root"
mkdir old
pivot_root . old
umount -l /old
mount --make-rshared / # how a machine is booted; without it no service gets its credentials
exec env -i container=effe PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=basic.target --show-status=0 </dev/null
