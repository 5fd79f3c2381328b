<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\GatewayEvents;
use PushGateway\GatewayException;

/** A worker process: joins, handles one event after the other, and leaves when it is told to. */
final class Child
{
    private const ALIVE_EVERY_MILLISECONDS = 1100;
    private const LOOK_EVERY_NANOSECONDS = 1_000_000_000;

    private bool $isLeaving = false;
    private int $looked = 0;
    private readonly int $master;

    /**
     * @param string|null $register null for what php.ini says
     * @param \Closure(string): void $tell is called once it serves
     */
    public function __construct(
        private int $number,
        private Options $options,
        private ?string $register,
        private \Closure $tell,
    ) {
        $this->master = posix_getppid();
    }

    public function run(): int
    {
        $this->listen();
        $this->options->connectTo($this->register);
        $limits = new Limits($this->options);
        Workerman::takePlaces();
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
            ($this->tell)('serves');
            $this->serve($dispatcher, $limits);
        }
        $dispatcher->call('onWorkerStop', $worker);
        return 0;
    }

    /** In a scope of its own. */
    private static function load(string $file): void
    {
        require_once $file;
    }

    private function listen(): void
    {
        pcntl_async_signals(true);
        pcntl_signal(SIGTERM, function (): void {
            $this->isLeaving = true;
        });
        // From the terminal they reach everybody; the first process says what is to be done.
        foreach ([SIGINT, SIGUSR1, SIGUSR2] as $signal) {
            pcntl_signal($signal, SIG_IGN);
        }
        pcntl_signal(SIGCHLD, SIG_DFL);
        pcntl_sigprocmask(SIG_SETMASK, []);
    }

    private function serve(Dispatcher $dispatcher, Limits $limits): void
    {
        $hasLeft = $isSpent = false;
        while (true) {
            try {
                $this->leaveWithoutMaster();
                if ($this->isLeaving && !$hasLeft) {
                    GatewayEvents::leave();
                    $hasLeft = true;
                }
                if (Timer::isDue()) {
                    // No client is the current one in them.
                    GatewayEvents::next(-1);
                    $dispatcher->runTimers();
                }
                $event = GatewayEvents::next($this->patience());
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
            // Null: a signal has come, and its handler has run, or a timer is due.
            if ($event !== null) {
                $dispatcher->handle(...$event);
                if (!$isSpent && $limits->areReached()) {
                    $isSpent = true;
                    ($this->tell)(Process::SPENT);
                }
            }
        }
    }

    /** Nobody else would end it. It looks now and then only: to ask costs as much as an event. */
    private function leaveWithoutMaster(): void
    {
        $now = hrtime(true);
        if ($now - $this->looked > self::LOOK_EVERY_NANOSECONDS) {
            $this->looked = $now;
            $this->isLeaving = $this->isLeaving || posix_getppid() !== $this->master;
            if ($this->options->handlerTimeout !== null) {
                ($this->tell)('alive');
            }
        }
    }

    /** In milliseconds; 0 is without end. */
    private function patience(): int
    {
        $timer = Timer::patience() ?? 0;
        if ($this->options->handlerTimeout === null) {
            return $timer;
        }
        // The first process wants to hear that this one is not stuck.
        return $timer === 0 ? self::ALIVE_EVERY_MILLISECONDS : min($timer, self::ALIVE_EVERY_MILLISECONDS);
    }

    /** Again and again, until it succeeds or the process is to end. */
    private function join(Dispatcher $dispatcher): bool
    {
        $name = "{$this->options->name}:$this->number:" . getmypid() . '@' . gethostname();
        $pause = 0.05;
        while (!$this->isLeaving) {
            try {
                GatewayEvents::join(substr($name, 0, 256));
                return true;
            } catch (GatewayException $unreachable) {
                if ($pause === 0.05) {
                    Log::write($unreachable->getMessage());
                }
                $dispatcher->runTimers();
                if ($this->options->handlerTimeout !== null) {
                    ($this->tell)('alive');
                }
                usleep((int) min($pause * 1e6, 1000 * (Timer::patience() ?? 2000)));
                $pause = min(2 * $pause, 2.0);
            }
        }
        return false;
    }
}
