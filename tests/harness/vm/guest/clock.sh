#!/bin/sh
# Plays the time daemon, which has nobody to ask in the lab: tells the kernel that its clock is right (adjtimex(2) with
# ADJ_STATUS, ADJ_MAXERROR and ADJ_ESTERROR; STA_PLL).
exec perl -e '
    my $timex = pack("L x4 q4 l", 0x1c, 0, 0, 1000, 1000, 1) . "\0" x 164;
    my $state = syscall(159, $timex);
    exit($state < 0 || $state == 5 ? 1 : 0)'
