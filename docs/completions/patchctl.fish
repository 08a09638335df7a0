# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_patchctl_global_optspecs
    string join \n json socket= h/help V/version
end

function __fish_patchctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_patchctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_patchctl_using_subcommand
    set -l cmd (__fish_patchctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c patchctl -n "__fish_patchctl_needs_command" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_needs_command" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchctl -n "__fish_patchctl_needs_command" -s V -l version -d 'Print version'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "status" -d 'Show what the daemon does and what it knows of this host'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "scan" -d 'Look at the host, judge it against its baseline, show and keep the report'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "plan" -d 'Show what an apply would do now, and change nothing'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "apply" -d 'Install what the baseline asks for, in an open window, and show how it goes'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "stop" -d 'Stop a run between two steps'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "pause" -d 'Change nothing on this host until it is resumed'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "resume" -d 'End a pause'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "inventory" -d 'List the installed packages'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "updates" -d 'List the packages that could or should be newer, and why they are not'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "explain" -d 'Tell why a package is at its version, when that will change and what to do; or what this host tells of a hole'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "runs" -d 'List the latest runs'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "show" -d 'Show one run with its history'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "report" -d 'Show a report'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "baseline" -d 'Work on baselines: the rules by which updates are approved'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "windows" -d 'Show when this host may be changed, or when a schedule would allow it'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "config" -d 'Work on patchd\'s configuration'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "patchers" -d 'Work on who else patches this host by itself'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "doctor" -d 'Say what stands between this host and its reports and patches, and what to do about it'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "version" -d 'Work on version numbers'
complete -c patchctl -n "__fish_patchctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand status" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand status" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l root -d 'Read the host whose root directory is DIR instead of this one' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l config-root -d 'Read the configuration under DIR instead of / (by default under --root)' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l baseline -d 'Judge by this baseline: a file as `aws ssm get-patch-baseline` prints it, or in TOML, or builtin:NAME' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l now -d 'Judge as if it were this time, written like 2026-11-23T06:00:00Z' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l store -d 'Keep the report in this folder: a path or file:///path [default: ./patchd-reports]' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l once -d 'Read the host here and now, without the daemon'
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l all -d 'Show every row: all missing and other updates, all problems'
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l exit-code -d 'Exit with 4 if the host is not compliant, and with 3 if that can\'t be told'
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand scan" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand plan" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand plan" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand plan" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l plan -d 'Apply exactly the plan in FILE, as `patchctl plan --json` printed it, or nothing; - is standard input' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l follow -d 'Watch a run that is under way, or show what one came to' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l reason -d 'Why it can\'t wait; it stands in the report' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l minutes -d 'How long root\'s word holds' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l executor-socket -d 'The executor\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l detach -d 'Print the run\'s id and don\'t wait for its end'
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l now -d 'Apply outside of every window, as root: the plan is shown, and carried out if you agree to it'
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l yes -d 'Agree to the plan without being asked'
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand apply" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand stop" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand stop" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand stop" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand pause" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand pause" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand pause" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand resume" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand resume" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand resume" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand inventory" -l root -d 'Read the host whose root directory is DIR instead of this one' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand inventory" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand inventory" -l once -d 'Read the host here and now, without the daemon'
complete -c patchctl -n "__fish_patchctl_using_subcommand inventory" -l origins -d 'Say which repository has each installed version; this reads the package lists too'
complete -c patchctl -n "__fish_patchctl_using_subcommand inventory" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand inventory" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -l root -d 'Read the host whose root directory is DIR instead of this one' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -l config-root -d 'Read the configuration under DIR instead of / (by default under --root)' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -l baseline -d 'Judge by this baseline: a file as `aws ssm get-patch-baseline` prints it, or in TOML, or builtin:NAME' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -l now -d 'Judge as if it were this time, written like 2026-11-23T06:00:00Z' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -l once -d 'Read the host here and now, without the daemon'
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand updates" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -l root -d 'Read the host whose root directory is DIR instead of this one' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -l config-root -d 'Read the configuration under DIR instead of / (by default under --root)' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -l baseline -d 'Judge by this baseline: a file as `aws ssm get-patch-baseline` prints it, or in TOML, or builtin:NAME' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -l now -d 'Judge as if it were this time, written like 2026-11-23T06:00:00Z' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -l once -d 'Read the host here and now, without the daemon'
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchctl -n "__fish_patchctl_using_subcommand runs" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand runs" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand runs" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand show" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand show" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand show" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand report" -l store -d 'Take it from this folder instead of asking the daemon: a path or file:///path' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand report" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand report" -l all -d 'Show every row: all missing and other updates, all problems'
complete -c patchctl -n "__fish_patchctl_using_subcommand report" -l exit-code -d 'Exit with 4 if the host is not compliant, and with 3 if that can\'t be told'
complete -c patchctl -n "__fish_patchctl_using_subcommand report" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand report" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and not __fish_seen_subcommand_from check show diff help" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and not __fish_seen_subcommand_from check show diff help" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and not __fish_seen_subcommand_from check show diff help" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and not __fish_seen_subcommand_from check show diff help" -f -a "check" -d 'Read baselines and print each mistake as FILE:LINE: PATH: what is wrong'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and not __fish_seen_subcommand_from check show diff help" -f -a "show" -d 'Show what a baseline says: in words, as AWS prints it (--json), or in patchd\'s own form (--toml)'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and not __fish_seen_subcommand_from check show diff help" -f -a "diff" -d 'Judge this host by two baselines, and show the packages that they don\'t judge the same'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and not __fish_seen_subcommand_from check show diff help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from check" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from show" -l root -d 'Show that of the host whose root directory is DIR' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from show" -l toml -d 'Print it as patchd\'s own TOML, ready to be saved'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from diff" -l root -d 'Read the host whose root directory is DIR instead of this one' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from diff" -l now -d 'Judge as if it were this time, written like 2026-11-23T06:00:00Z' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from diff" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from diff" -l all -d 'Show every row'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from diff" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from help" -f -a "check" -d 'Read baselines and print each mistake as FILE:LINE: PATH: what is wrong'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what a baseline says: in words, as AWS prints it (--json), or in patchd\'s own form (--toml)'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Judge this host by two baselines, and show the packages that they don\'t judge the same'
complete -c patchctl -n "__fish_patchctl_using_subcommand baseline; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l schedule -d 'Ask about this schedule instead of the configuration: cron(…), rate(…), at(…) or `Sun 02:00 +3h Europe/Berlin`' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l timezone -d 'The time zone that the schedule is read in [default: UTC]' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l offset -d 'Begin so many days later than the cron says, from 1 to 6' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l duration -d 'How long the window lasts, from 1h to 24h; without it, the times are told without a length' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l cutoff -d 'How long before its end nothing new is started [default: 0s]' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l start -d 'Nothing begins before this; a rate is counted from it [default for a rate or an offset: --from]' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l end -d 'Nothing begins at this or later' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l from -d 'List what begins after this, written like 2026-11-23T06:00:00Z [default: now]' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l count -d 'How many times are listed' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l at -d 'Say whether it is open or shut at this time, and why' -r
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l config-root -d 'Read the configuration under DIR instead of /' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand windows" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -f -a "check" -d 'Read the configuration and print each mistake as FILE:LINE: what is wrong'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and __fish_seen_subcommand_from check" -l config-root -d 'Read it under DIR instead of /' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and __fish_seen_subcommand_from check" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Read the configuration and print each mistake as FILE:LINE: what is wrong'
complete -c patchctl -n "__fish_patchctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and not __fish_seen_subcommand_from list disable restore help" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and not __fish_seen_subcommand_from list disable restore help" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and not __fish_seen_subcommand_from list disable restore help" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and not __fish_seen_subcommand_from list disable restore help" -f -a "list" -d 'List those that would install packages by themselves, and those that were kept from it'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and not __fish_seen_subcommand_from list disable restore help" -f -a "disable" -d 'As root, keep one from installing as long as patchd is installed; nothing of it is removed or stopped'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and not __fish_seen_subcommand_from list disable restore help" -f -a "restore" -d 'As root, take that back'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and not __fish_seen_subcommand_from list disable restore help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from list" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from disable" -l executor-socket -d 'The executor\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from disable" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from disable" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from restore" -l executor-socket -d 'The executor\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from restore" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from restore" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from help" -f -a "list" -d 'List those that would install packages by themselves, and those that were kept from it'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from help" -f -a "disable" -d 'As root, keep one from installing as long as patchd is installed; nothing of it is removed or stopped'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from help" -f -a "restore" -d 'As root, take that back'
complete -c patchctl -n "__fish_patchctl_using_subcommand patchers; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand doctor" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand doctor" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and not __fish_seen_subcommand_from compare help" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and not __fish_seen_subcommand_from compare help" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and not __fish_seen_subcommand_from compare help" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and not __fish_seen_subcommand_from compare help" -f -a "compare" -d 'Print -1, 0 or 1: whether A is older than B, the same, or newer'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and not __fish_seen_subcommand_from compare help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and __fish_seen_subcommand_from compare" -l socket -d 'The daemon\'s socket' -r -F
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and __fish_seen_subcommand_from compare" -l json -d 'Print one JSON document and nothing else on standard output'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and __fish_seen_subcommand_from compare" -s h -l help -d 'Print help'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and __fish_seen_subcommand_from help" -f -a "compare" -d 'Print -1, 0 or 1: whether A is older than B, the same, or newer'
complete -c patchctl -n "__fish_patchctl_using_subcommand version; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "status" -d 'Show what the daemon does and what it knows of this host'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "scan" -d 'Look at the host, judge it against its baseline, show and keep the report'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "plan" -d 'Show what an apply would do now, and change nothing'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "apply" -d 'Install what the baseline asks for, in an open window, and show how it goes'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "stop" -d 'Stop a run between two steps'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "pause" -d 'Change nothing on this host until it is resumed'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "resume" -d 'End a pause'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "inventory" -d 'List the installed packages'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "updates" -d 'List the packages that could or should be newer, and why they are not'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "explain" -d 'Tell why a package is at its version, when that will change and what to do; or what this host tells of a hole'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "runs" -d 'List the latest runs'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "show" -d 'Show one run with its history'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "report" -d 'Show a report'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "baseline" -d 'Work on baselines: the rules by which updates are approved'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "windows" -d 'Show when this host may be changed, or when a schedule would allow it'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "config" -d 'Work on patchd\'s configuration'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "patchers" -d 'Work on who else patches this host by itself'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "doctor" -d 'Say what stands between this host and its reports and patches, and what to do about it'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "version" -d 'Work on version numbers'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and not __fish_seen_subcommand_from status scan plan apply stop pause resume inventory updates explain runs show report baseline windows config patchers doctor version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from baseline" -f -a "check" -d 'Read baselines and print each mistake as FILE:LINE: PATH: what is wrong'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from baseline" -f -a "show" -d 'Show what a baseline says: in words, as AWS prints it (--json), or in patchd\'s own form (--toml)'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from baseline" -f -a "diff" -d 'Judge this host by two baselines, and show the packages that they don\'t judge the same'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Read the configuration and print each mistake as FILE:LINE: what is wrong'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from patchers" -f -a "list" -d 'List those that would install packages by themselves, and those that were kept from it'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from patchers" -f -a "disable" -d 'As root, keep one from installing as long as patchd is installed; nothing of it is removed or stopped'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from patchers" -f -a "restore" -d 'As root, take that back'
complete -c patchctl -n "__fish_patchctl_using_subcommand help; and __fish_seen_subcommand_from version" -f -a "compare" -d 'Print -1, 0 or 1: whether A is older than B, the same, or newer'
