#!/bin/bash
# Does in the virtual machine what the host asks for over the second serial port: a line is a number and a script in
# base64; the answer has the number, the exit code, and both outputs.
stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
work=/run/lab
mkdir -p "$work"
echo "ready $(cat /proc/sys/kernel/random/boot_id)" >&3
while read -r number script <&3; do
    base64 -d <<<"$script" >"$work/script"
    bash "$work/script" >"$work/out" 2>"$work/err" </dev/null 3>&-
    code=$?
    echo "$number $code =$(base64 -w0 "$work/out") =$(base64 -w0 "$work/err")" >&3
done
