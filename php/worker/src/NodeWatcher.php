<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\Gateway;
use PushGateway\GatewayEvents;
use PushGateway\GatewayException;

/** A process that asks the cluster for its nodes, and reports them to the master process when they have changed. */
final class NodeWatcher
{
    private const ASK_EVERY_MICROSECONDS = 1_000_000;

    private readonly int $master;
    /** @var list<string> the nodes as they were reported last */
    private array $nodes = [];

    /** @param \Closure(string): void $report is given the nodes as JSON */
    public function __construct(private Options $options, private \Closure $report)
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
            // A single server is no cluster: the workers join it at the address that was given.
            if ($nodes !== $this->nodes && count($nodes) >= ($this->nodes === [] ? 2 : 1)) {
                ($this->report)(json_encode($nodes, JSON_THROW_ON_ERROR));
                $this->nodes = $nodes;
                // Every node answers this question, so the next one goes to whichever is reachable.
                Gateway::$registerAddress = [...$nodes, ...$given];
            }
            usleep(self::ASK_EVERY_MICROSECONDS);
        }
        return 0;
    }

    /** @return list<string> register addresses; empty when no node answers */
    private function ask(string $given): array
    {
        try {
            $nodes = @GatewayEvents::nodes();
        } catch (GatewayException) {
            // The workers log it when they cannot join.
            return [];
        }
        // All nodes take calls over the same transport as the given address. A unix socket reaches this machine's node alone.
        $scheme = preg_match('~^(tcp|tls)://~', $given, $found) ? $found[0] : '';
        $nodes = array_map(fn (string $node) => $scheme . $node, $nodes);
        sort($nodes);

        return $nodes;
    }
}
