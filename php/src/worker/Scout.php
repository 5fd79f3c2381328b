<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\Gateway;
use PushGateway\GatewayEvents;
use PushGateway\GatewayException;

/** A process that asks the cluster for its nodes, and tells of them when they have changed. */
final class Scout
{
    private const ASK_EVERY_MICROSECONDS = 1_000_000;

    private readonly int $master;
    /** @var list<string> as told last */
    private array $nodes = [];

    /** @param \Closure(string): void $tell is given the nodes as JSON */
    public function __construct(private Options $options, private \Closure $tell)
    {
        $this->master = posix_getppid();
    }

    public function run(): int
    {
        pcntl_signal(SIGTERM, SIG_DFL);
        foreach ([SIGINT, SIGUSR1, SIGUSR2] as $signal) {
            pcntl_signal($signal, SIG_IGN);
        }
        pcntl_sigprocmask(SIG_SETMASK, []);
        $this->options->connectTo($this->options->registers[0] ?? null);
        $given = (array) Gateway::$registerAddress;
        while (posix_getppid() === $this->master) {
            $nodes = $this->ask((string) reset($given));
            // A server on its own is joined where it was said to be.
            if ($nodes !== $this->nodes && count($nodes) >= ($this->nodes === [] ? 2 : 1)) {
                ($this->tell)(json_encode($nodes, JSON_THROW_ON_ERROR));
                $this->nodes = $nodes;
                // Whichever of them is there will do from here on.
                Gateway::$registerAddress = [...$nodes, ...$given];
            }
            usleep(self::ASK_EVERY_MICROSECONDS);
        }
        return 0;
    }

    /** @return list<string> none, if nobody can say */
    private function ask(string $given): array
    {
        try {
            $nodes = @GatewayEvents::nodes();
        } catch (GatewayException) {
            // The workers say it when they cannot join.
            return [];
        }
        // All nodes take calls in the same way, but for a unix socket, which is this machine's.
        $scheme = preg_match('~^(tcp|tls)://~', $given, $found) ? $found[0] : '';
        $nodes = array_map(fn (string $node) => $scheme . $node, $nodes);
        sort($nodes);

        return $nodes;
    }
}
