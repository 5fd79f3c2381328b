<?php

namespace PushGateway\Worker;

use PushGateway\Gateway;
use PushGateway\GatewayEvents;
use PushGateway\GatewayException;

/** A worker process: joins, handles one event after the other, and leaves when it is told to. */
final class Child
{
    private const LOOK_EVERY_NANOSECONDS = 1_000_000_000;
    private const CLASS_OF_WORKERS = 'GatewayWorker\Lib\Gateway';

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
        // GatewayWorker's own class, which an autoloader of the program may find, knows nothing of the events here.
        if (!class_exists(self::CLASS_OF_WORKERS, false)) {
            class_alias(Gateway::class, self::CLASS_OF_WORKERS);
        }
        self::load($this->options->file);
        $handler = $this->options->handler;
        if (!class_exists($handler)) {
            Log::write("{$this->options->file} has no class $handler (--handler)");
            return 1;
        }
        $worker = new WorkerInfo($this->number, $this->options->name, $this->options->count);
        $dispatcher = new Dispatcher($handler);
        $dispatcher->call('onWorkerStart', $worker);
        if ($this->join()) {
            ($this->tell)('serves');
            $this->serve($dispatcher);
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

    private function serve(Dispatcher $dispatcher): void
    {
        $hasLeft = false;
        while (true) {
            try {
                $this->leaveWithoutMaster();
                if ($this->isLeaving && !$hasLeft) {
                    GatewayEvents::leave();
                    $hasLeft = true;
                }
                $event = GatewayEvents::next();
            } catch (GatewayException $lost) {
                Log::write($lost->getMessage());
                if ($this->isLeaving || !$this->join()) {
                    return;
                }
                continue;
            }
            if ($event === false) {
                return;
            }
            // Null: a signal has come, and its handler has run.
            if ($event !== null) {
                $dispatcher->handle(...$event);
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
        }
    }

    /** Again and again, until it succeeds or the process is to end. */
    private function join(): bool
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
                usleep((int) ($pause * 1e6));
                $pause = min(2 * $pause, 2.0);
            }
        }
        return false;
    }
}
