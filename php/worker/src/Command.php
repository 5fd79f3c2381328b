<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** The command line of gateway-worker. */
final class Command
{
    private const HELP = <<<'TEXT'
        gateway-worker start FILE [--option=value …]   handles events by the class in FILE, until it is told to stop
        gateway-worker status [--pid-file=FILE]        shows the processes
        gateway-worker reload [--pid-file=FILE]        replaces one process after the other, with the code as it is now
        gateway-worker stop [--pid-file=FILE]          lets every process handle what it has, then ends

        --count=N          processes (1)
        --handler=CLASS    the class in FILE with onMessage() and so on (Events)
        --register=ADDRESS the server's register address (gateway.register_address of php.ini); of a cluster that of
                           any node: the processes go to all nodes, as they come and go. Several addresses,
                           separated by commas, each get as many of the processes, and no other does
        --name=NAME        of these workers, in the server's log (gateway-worker)
        --pid-file=FILE    (gateway-worker.pid in $XDG_RUNTIME_DIR; of root in /run; else in a folder of the user's
                           own in the temporary directory)
        --stop-timeout=S   seconds that a process may take to handle what it has (30)
        --handler-timeout=S seconds that a handler may take (no limit). Where it stands then is logged, and its process
                           is replaced: what it has handled by then stays as it is, its other events go on
        --max-memory=SIZE  that PHP may use in a process, such as 256M (memory_limit of php.ini, or 1G if that is -1):
                           a handler that wants more ends with its process; from three quarters on the process is
                           replaced after the event
        --max-events=N     events after which a process is replaced (no limit)

        The secret is gateway.secret_key of php.ini, or the environment's GATEWAY_SECRET_KEY.
        Signals to the first process: SIGTERM and SIGINT stop, SIGUSR1 reloads.

        TEXT;

    /**
     * @param list<string> $arguments
     * @param \Closure(?string): void|null $prepare runs in each process that connects, before the program's code is loaded. It is
     * given the register address of the command line or of a node that was found; null stands for the address in php.ini
     */
    public static function run(array $arguments, ?\Closure $prepare = null): int
    {
        try {
            foreach (['gateway', 'pcntl', 'posix'] as $extension) {
                if (!extension_loaded($extension)) {
                    throw new UsageError("PHP's extension $extension is not loaded: put extension=$extension in php.ini");
                }
            }
            $options = Options::parse($arguments);
            $options->prepare = $prepare;
            $running = new PidFile($options->pidFile);
            switch ($options->command) {
                case 'start':
                    return (new Master($options, $running))->run();
                case 'stop':
                    return $running->signal(SIGTERM);
                case 'reload':
                    return $running->signal(SIGUSR1);
                case 'status':
                    echo $running->status();
                    return 0;
                default:
                    echo self::HELP;
                    return 0;
            }
        } catch (UsageError $error) {
            fwrite(STDERR, "gateway-worker: {$error->getMessage()}\n");
            return 2;
        }
    }
}
