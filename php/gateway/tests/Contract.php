<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PushGateway\Exception\UnsupportedCall;
use PushGateway\GatewayInterface;

/**
 * What every {@see GatewayInterface} does, whatever is behind it. It is run on the fake here, and by an end to end test of the
 * project on the others with a real server. There are three clients, none of which has a uid, a group or a session, and no
 * others.
 */
final class Contract
{
    /** For how many seconds an order may be on its way. GatewayClient says only that it has written it. */
    private const PATIENCE = 10.0;

    /** @var list<string> the methods that this gateway does not have */
    public array $unsupported = [];

    /** A token for the uid ann and the group news, which is for one connection. */
    public string $token = '';

    /** A client_id of nobody, at the gateway of the first client: GatewayClient reads its address in it. */
    private readonly string $nobody;

    /** @param array{string, string, string} $clients client_ids */
    public function __construct(private readonly GatewayInterface $gateway, private readonly array $clients)
    {
        $this->nobody = substr($clients[0], 0, -8) . 'fffffff0';
    }

    /** Runs all cases, of which the later ones build on those before. */
    public function run(): void
    {
        $this->uids();
        $this->groups();
        $this->sessions();
        $this->sends();
        $this->countedSends();
        $this->questionsToPages();
        $this->inbox();
        $this->identity();
        $this->closes();
        sort($this->unsupported);
    }

    private function uids(): void
    {
        [$a, $b, $c] = $this->clients;
        $g = $this->gateway;
        $this->becomes(3, $g->getAllClientIdCount(...), 'getAllClientIdCount');
        $this->sameSet([$a, $b, $c], $g->getAllClientIdList(), 'getAllClientIdList');
        $this->same([true, false], [$g->isOnline($a), $g->isOnline($this->nobody)], 'isOnline');
        $this->same(null, $g->getUidByClientId($a), 'getUidByClientId of nobody');
        $g->bindUid($a, 'ann');
        $g->bindUid($b, 7);
        $g->bindUid($c, 'carl');
        $this->becomes('ann', fn () => $g->getUidByClientId($a), 'bindUid');
        $this->becomes('7', fn () => $g->getUidByClientId($b), 'bindUid with a number');
        $this->becomes('carl', fn () => $g->getUidByClientId($c), 'bindUid of the third');
        $g->unbindUid($c);
        $this->becomes(null, fn () => $g->getUidByClientId($c), 'unbindUid');
        $this->same([true, true, false], array_map($g->isUidOnline(...), ['ann', 7, 'carl']), 'isUidOnline');
        $online = $this->sorted($g->isUidsOnline(['carl', 'ann', 7]));
        $this->same(['ann' => true, 'carl' => false, 7 => true], $online, 'isUidsOnline');
        $this->same([[$a], []], [$g->getClientIdByUid('ann'), $g->getClientIdByUid('carl')], 'getClientIdByUid');
        $this->same([$a], $g->batchGetClientIdByUid(['ann', 7])['ann'], 'batchGetClientIdByUid');
        $this->same([$b], $g->batchGetClientIdByUid(['ann', 7])[7], 'batchGetClientIdByUid with a number');
        $this->sameSet(['7', 'ann'], $g->getAllUidList(), 'getAllUidList');
        $this->same(2, $g->getAllUidCount(), 'getAllUidCount');
    }

    private function groups(): void
    {
        [$a, $b, $c] = $this->clients;
        $g = $this->gateway;
        foreach ([[$a, 'news'], [$b, 'news'], [$c, 8], [$a, 8]] as [$client, $group]) {
            $g->joinGroup($client, $group);
        }
        $this->becomes([2, 2], fn () => array_map($g->getClientIdCountByGroup(...), ['news', 8]), 'joinGroup');
        $this->sameSet([$a, $b], $g->getClientIdListByGroup('news'), 'getClientIdListByGroup');
        $this->sameSet([$a, $b, $c], $g->getClientIdListByGroup(['news', 8]), 'getClientIdListByGroup of two');
        $this->sameSet(['7', 'ann'], $g->getUidListByGroup('news'), 'getUidListByGroup');
        $this->sameSet(['7', 'ann'], $g->getUidListByGroup(['news', 8]), 'getUidListByGroup of two');
        $this->same([2, 1, 2], array_map($g->getUidCountByGroup(...), ['news', 8, ['news', 8]]), 'getUidCountByGroup');
        $this->sameSet(['8', 'news'], $g->getAllGroupIdList(), 'getAllGroupIdList');
        $this->sameSet(['7', 'ann'], $g->getAllGroupUidList()['news'], 'getAllGroupUidList');
        $this->same(['ann'], $g->getAllGroupUidList()[8], 'getAllGroupUidList with a number');
        $this->same(['news' => 2, 8 => 1], $this->sorted($g->getAllGroupUidCount()), 'getAllGroupUidCount');
        $this->sameSet([$a, $c], $g->getAllGroupClientIdList()[8], 'getAllGroupClientIdList');
        $this->same(['news' => 2, 8 => 2], $this->sorted($g->getAllGroupClientIdCount()), 'getAllGroupClientIdCount');
        $counts = $this->sorted($g->batchGetClientIdCountByGroup(['none', 'news', 8]));
        $this->same(['news' => 2, 'none' => 0, 8 => 2], $counts, 'batchGetClientIdCountByGroup');
        $g->leaveGroup($a, 8);
        $this->becomes([$c], fn () => $g->getClientIdListByGroup(8), 'leaveGroup');
        $g->ungroup(8);
        $this->becomes(0, fn () => $g->getClientIdCountByGroup(8), 'ungroup');
    }

    private function sessions(): void
    {
        [$a, $b] = $this->clients;
        $g = $this->gateway;
        $this->same([[], null], [$g->getSession($a), $g->getSession($this->nobody)], 'getSession of none');
        $session = ['n' => 1, 'ratio' => 0.5, 'deep' => ['x' => 'é', 'list' => [1, 2]], 'none' => null, 'is' => true];
        $g->setSession($a, $session);
        $this->becomes($session, fn () => $g->getSession($a), 'setSession');
        $g->updateSession($a, ['n' => 2, 'deep' => ['y' => 'new']]);
        $merged = array_replace_recursive($session, ['n' => 2, 'deep' => ['y' => 'new']]);
        $this->becomes($merged, fn () => $g->getSession($a), 'updateSession');
        $g->setSession($b, ['gone' => 1]);
        $g->setSession($b, []);
        $this->becomes([], fn () => $g->getSession($b), 'setSession to none');
        $all = $g->getAllClientSessions();
        $this->same([$merged, []], [$all[$a], $all[$b]], 'getAllClientSessions');
        $this->sameSet([$a, $b], array_keys($g->getClientSessionsByGroup('news')), 'getClientSessionsByGroup');
    }

    /** Who gets what is looked at by those who have the clients. */
    private function sends(): void
    {
        [$a, $b, $c] = $this->clients;
        $g = $this->gateway;
        $g->sendToAll(['all' => 'é/']);
        $g->sendToAll('to two', [$a, $c]);
        $g->sendToAll('but one', null, $b);
        $g->sendToAll('to nobody', []);
        $g->sendToClient($a, 'to a');
        $g->sendToUid('ann', 'to ann');
        $g->sendToUid(['ann', 7, 'carl'], ['to' => 'two uids']);
        $g->sendToUid('carl', 'to nobody');
        $g->sendToUid(['ann', 7], 'excluded', exclude: $a);
        $g->sendToGroup('news', 'to news');
        $g->sendToGroup(['news', 'none'], 'to b of news', exclude: [$a]);
        $g->sendToAll('but a group', excludeGroup: 'news');
        $this->tried('$binary', fn () => $g->sendToClient($c, 'binary', binary: true));
        $this->same(true, $g->flush(), 'flush');
    }

    private function countedSends(): void
    {
        [$a] = $this->clients;
        $g = $this->gateway;
        $this->tried('sendToUidCounted', function () use ($g): void {
            $counts = ['taken' => 2, 'waiting' => 0, 'gone' => 0, 'silent' => []];
            $this->same($counts, $g->sendToUidCounted(['ann', 7, 'carl'], 'counted'), 'sendToUidCounted');
        });
        $this->tried('sendToGroupCounted', function () use ($g, $a): void {
            $counts = ['taken' => 1, 'waiting' => 0, 'gone' => 0, 'silent' => []];
            $this->same($counts, $g->sendToGroupCounted('news', 'counted too', $a), 'sendToGroupCounted');
        });
    }

    private function questionsToPages(): void
    {
        [$a, , $c] = $this->clients;
        $g = $this->gateway;
        $this->tried('ask', function () use ($g, $a): void {
            $this->same([$a => null], $g->ask('ann', ['well' => '?'], 0.5), 'ask of a page that cannot answer');
            $this->same([], $g->ask('carl', 'well?', 0.5), 'ask of nobody');
        });
        $this->tried('getClientInfo', function () use ($g, $a, $c): void {
            $info = $g->getClientInfo($a) ?? [];
            $this->same(['connected', 'ann', ['news']], [$info['state'], $info['uid'], $info['groups']], 'getClientInfo');
            $this->same(null, ($g->getClientInfo($c) ?? [])['uid'], 'getClientInfo of one without a uid');
            $this->same(null, $g->getClientInfo($this->nobody), 'getClientInfo of nobody');
        });
    }

    private function inbox(): void
    {
        $g = $this->gateway;
        $this->tried('deliverToUid', function () use ($g): void {
            $id = $g->deliverToUid(['dora', 9], ['text' => 'hello'], ['id' => 'm-1', 'ttl' => 60]);
            $this->same('m-1', $id, 'deliverToUid');
            $this->same(32, strlen($g->deliverToUid('dora', 'second')), 'deliverToUid without an id');
        });
        $this->tried('receipt', function () use ($g): void {
            $receipts = $g->receipt('m-1');
            $this->sameSet(['9', 'dora'], array_column($receipts, 'uid'), 'receipt');
            $this->same([true, []], [$receipts[0]['waiting'], $receipts[0]['devices']], 'receipt of what waits');
            $this->same(60000, $receipts[0]['expires'] - $receipts[0]['stored'], 'receipt of a time');
            $this->same([], $g->receipt('unknown'), 'receipt of an unknown id');
        });
        $this->tried('inboxOf', function () use ($g): void {
            $inbox = $g->inboxOf('dora') ?? [];
            $this->same([2, []], [$inbox['messages'], $inbox['devices']], 'inboxOf');
            $this->same(null, $g->inboxOf('nobody'), 'inboxOf of nobody');
        });
        $this->tried('forget', function () use ($g): void {
            $g->forget('dora');
            $this->becomes(null, fn () => $g->inboxOf('dora'), 'forget');
            $this->same(['9'], array_column($g->receipt('m-1'), 'uid'), 'forget of one of two');
        });
    }

    private function identity(): void
    {
        [$a, $b] = $this->clients;
        $g = $this->gateway;
        $this->token = $g->token('ann', 60, ['news'], ['role' => 'admin'], true, 'phone');
        $this->tried('getClientProof', function () use ($g, $a, $b): void {
            $proof = $g->getClientProof($a);
            $this->same(null, $g->getClientProof($this->nobody), 'getClientProof of nobody');
            $this->same(true, $g->isClientProof($a, $proof), 'isClientProof');
            $wrong = [[$b, $proof], [$a, 'x'], [$a, null], [[$a], [$proof]], [$this->nobody, $proof], ['', '']];
            foreach ($wrong as [$client, $posted]) {
                $this->same(false, $g->isClientProof($client, $posted), 'isClientProof of ' . json_encode([$client, $posted]));
            }
        });
        $this->tried('isClientProof', fn () => $g->isClientProof($a, ''));
    }

    private function closes(): void
    {
        [$a, $b, $c] = $this->clients;
        $g = $this->gateway;
        $g->closeClient($c, 'bye');
        $g->closeUid([7, 'carl'], ['type' => 'bye']);
        $online = fn () => array_map($g->isOnline(...), [$a, $b, $c]);
        $this->becomes([true, false, false], $online, 'closeClient and closeUid');
        $g->destroyClient($a);
        $this->becomes(0, fn () => $g->getAllClientIdCount(), 'destroyClient');
    }

    /** Notes a method that this gateway does not have, and goes on. */
    private function tried(string $method, \Closure $case): void
    {
        try {
            $case();
        } catch (UnsupportedCall) {
            $this->unsupported[] = $method;
        }
    }

    private function same(mixed $expected, mixed $actual, string $what): void
    {
        if ($expected !== $actual) {
            throw new \AssertionError("$what: " . json_encode($actual) . ' is not ' . json_encode($expected));
        }
    }

    /**
     * @param list<string> $expected
     * @param array<mixed> $actual
     */
    private function sameSet(array $expected, array $actual, string $what): void
    {
        $this->same(true, array_is_list($actual), "$what is a list");
        sort($expected);
        sort($actual);
        $this->same($expected, $actual, $what);
    }

    /** Waits until what was ordered has been done. */
    private function becomes(mixed $expected, \Closure $actual, string $what): void
    {
        $end = microtime(true) + self::PATIENCE;
        while ($expected !== $actual() && microtime(true) < $end) {
            usleep(1000);
        }
        $this->same($expected, $actual(), $what);
    }

    /**
     * @param array<string|int, mixed> $values
     * @return array<string|int, mixed> with texts before numbers as keys
     */
    private function sorted(array $values): array
    {
        uksort($values, fn ($one, $other) => [is_int($one), $one] <=> [is_int($other), $other]);

        return $values;
    }
}
