# Run on the host with the root of the machine to be as $1, while it has its sources, and the directory for what is fetched
# as $2: keeps the archive's own index, and fetches the security updates that such a host is offered. $3 is where the
# security archive is, $4 the release.
set -e
root=$1 kept=$2 security=$3 codename=$4
mkdir -p "$kept/security"
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get -q update
cp "$root"/var/lib/apt/lists/*_dists_"$codename"_main_binary-*_Packages "$kept/Packages"
echo "deb $security $codename-security main" >"$root/etc/apt/sources.list.d/security.list"
chroot "$root" apt-get -q update
echo 'APT::Install-Recommends "false";' >"$root/etc/apt/apt.conf.d/90lab"
chroot "$root" apt-get -q -y --download-only dist-upgrade
mv "$root"/var/cache/apt/archives/*.deb "$kept/security/"
