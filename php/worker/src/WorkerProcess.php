<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\GatewayEvents;
use PushGateway\GatewayException;

/** A worker process. It joins the gateway, handles one event after the other, and leaves on SIGTERM. */
final class WorkerProcess
{
    /** An idle process with a --handler-timeout reports so often that no handler is stuck. */
    private const REPORT_EVERY_MILLISECONDS = 1100;
    private const CHECK_EVERY_NANOSECONDS = 1_000_000_000;

    private bool $isLeaving = false;
    /** When checkMaster() asked last, in nanoseconds of the monotonic clock. */
    private int $checkedAt = 0;
    private readonly int $master;

    /**
     * @param string|null $register the register address; null stands for the address in php.ini
     * @param \Closure(string): void $report sends a line to the master
     */
    public function __construct(
        private int $number,
        private Options $options,
        private ?string $register,
        private \Closure $report,
    ) {
        $this->master = posix_getppid();
    }

    public function run(): int
    {
        $this->handleSignals();
        $this->options->connectTo($this->register);
        $limits = new Limits($this->options);
        Workerman::declareAliases();
        self::load($this->options->file);
        $handler = $this->options->handler;
        if (!class_exists($handler)) {
            Log::write("{$this->options->file} has no class $handler (--handler)");
            return 1;
        }
        $worker = Workerman::worker($this->number, $this->options->name, $this->options->count);
        $dispatcher = new Dispatcher($handler, $limits);
        $dispatcher->call('onWorkerStart', $worker);
        if ($this->join($dispatcher)) {
            ($this->report)('serves');
            $this->serve($dispatcher, $limits);
        }
        $dispatcher->call('onWorkerStop', $worker);
        return 0;
    }

    /** Loads the program in a scope that has none of the runner's variables. */
    private static function load(string $file): void
    {
        require_once $file;
    }

    private function handleSignals(): void
    {
        pcntl_async_signals(true);
        pcntl_signal(SIGTERM, function (): void {
            $this->isLeaving = true;
        });
        // A terminal sends these to every process. The master alone acts on them, and tells the workers by SIGTERM.
        foreach ([SIGINT, SIGUSR1, SIGUSR2] as $signal) {
            pcntl_signal($signal, SIG_IGN);
        }
        pcntl_signal(SIGCHLD, SIG_DFL);
        pcntl_sigprocmask(SIG_SETMASK, []);
    }

    private function serve(Dispatcher $dispatcher, Limits $limits): void
    {
        $hasLeft = $isRetiring = false;
        while (true) {
            try {
                $this->checkMaster();
                if ($this->isLeaving && !$hasLeft) {
                    GatewayEvents::leave();
                    $hasLeft = true;
                }
                if (Timer::isDue()) {
                    // Timers run without a current client.
                    GatewayEvents::next(-1);
                    $dispatcher->runTimers();
                }
                $event = GatewayEvents::next($this->waitMilliseconds());
            } catch (GatewayException $lost) {
                Log::write($lost->getMessage());
                if ($this->isLeaving || !$this->join($dispatcher)) {
                    return;
                }
                continue;
            }
            if ($event === false) {
                return;
            }
            // There is no event when a signal has come, whose handler has run by now, or when a timer is due.
            if ($event !== null) {
                if ($event[0] === 'notices') {
                    $dispatcher->notify($event[1], $event[2], $this->checkMaster(...));
                } else {
                    $dispatcher->handle(...$event);
                }
                if (!$isRetiring && $limits->countEvent()) {
                    $isRetiring = true;
                    ($this->report)(ChildProcess::RETIRES);
                }
            }
        }
    }

    /**
     * Leaves when the master has ended, as nobody else would end this process. It asks once a second, since a question costs as
     * much as an event, and reports at the same time that no handler is stuck.
     */
    private function checkMaster(): void
    {
        $now = hrtime(true);
        if ($now - $this->checkedAt > self::CHECK_EVERY_NANOSECONDS) {
            $this->checkedAt = $now;
            $this->isLeaving = $this->isLeaving || posix_getppid() !== $this->master;
            if ($this->options->handlerTimeout !== null) {
                ($this->report)('alive');
            }
        }
    }

    /** How long to wait for an event, in milliseconds; 0 stands for no limit. */
    private function waitMilliseconds(): int
    {
        $timer = Timer::millisecondsUntilDue() ?? 0;
        if ($this->options->handlerTimeout === null) {
            return $timer;
        }
        // The master kills a process from which it hears nothing.
        return $timer === 0 ? self::REPORT_EVERY_MILLISECONDS : min($timer, self::REPORT_EVERY_MILLISECONDS);
    }

    /** Tries to join until it succeeds, or until the process is to leave. */
    private function join(Dispatcher $dispatcher): bool
    {
        $name = "{$this->options->name}:$this->number:" . getmypid() . '@' . gethostname();
        $pause = 0.05;
        while (!$this->isLeaving) {
            try {
                $dispatcher->takesMoves()
                    ? GatewayEvents::joinWithMoves(substr($name, 0, 256))
                    : GatewayEvents::join(substr($name, 0, 256));
                if ($dispatcher->takesNotices()) {
                    GatewayEvents::takeNotices();
                }
                return true;
            } catch (GatewayException $unreachable) {
                if ($pause === 0.05) {
                    Log::write($unreachable->getMessage());
                }
                $dispatcher->runTimers();
                if ($this->options->handlerTimeout !== null) {
                    ($this->report)('alive');
                }
                usleep((int) min($pause * 1e6, 1000 * (Timer::millisecondsUntilDue() ?? 2000)));
                $pause = min(2 * $pause, 2.0);
            }
        }
        return false;
    }
}
