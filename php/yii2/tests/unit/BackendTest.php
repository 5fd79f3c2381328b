<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\Gateway;
use yii\base\NotSupportedException;

/** Tests the component on GatewayClient, which lacks some options. */
final class BackendTest extends TestCase
{
    /**
     * @dataProvider calls
     * @param \Closure(Gateway): mixed $call
     * @param list<mixed> ...$expected
     */
    public function testOptionsAreSaidByTheCallsThatItHas(\Closure $call, array ...$expected): void
    {
        OldClient::$calls = [];
        $call(new Gateway(['backend' => OldClient::class]));
        $this->assertSame($expected, OldClient::$calls);
    }

    public function testTheClassMayBeTypedStricterThanItsCallers(): void
    {
        $gateway = new Gateway(['backend' => OldClient::class]);
        $this->assertSame(2, $gateway->getClientIdCountByGroup(77));
    }

    /** @return array<string, array{\Closure(Gateway): mixed, ...}> */
    public static function calls(): array
    {
        return [
            'a uid' => [fn (Gateway $g) => $g->sendToUid('ann', 'm'), ['sendToUid', 'ann', 'm']],
            'a uid but one' => [
                fn (Gateway $g) => $g->sendToUid(['ann', 0, 'ann'], 'm', exclude: 'C1'),
                ['sendToAll', 'm', ['c2', 'c3'], null, false],
            ],
            'a uid but a group' => [
                fn (Gateway $g) => $g->sendToUid('ann', 'm', true, ['c3'], ['muted', '']),
                ['sendToAll', 'm', ['c1'], null, true],
            ],
            'a uid, raw' => [
                fn (Gateway $g) => $g->sendToUid('ann', 'm', true),
                ['sendToAll', 'm', ['c1', 'c2', 'c3'], null, true],
            ],
            'nobody of a uid' => [
                fn (Gateway $g) => $g->sendToUid(['', 'bob'], 'm', exclude: 'c1'),
                ['sendToAll', 'm', [], null, false],
            ],
            'a client, raw' => [
                fn (Gateway $g) => $g->sendToClient('c1', 'm', true),
                ['sendToAll', 'm', ['c1'], null, true],
            ],
            'all but a group' => [
                fn (Gateway $g) => $g->sendToAll('m', null, 'c1', excludeGroup: 'muted'),
                ['sendToAll', 'm', null, ['c1', 'c2', 'c4'], false],
            ],
            'some but a group' => [
                fn (Gateway $g) => $g->sendToAll('m', ['c4', 'C3'], excludeGroup: ['muted']),
                ['sendToAll', 'm', ['c3'], null, false],
            ],
            'a group but another' => [
                fn (Gateway $g) => $g->sendToGroup('news', 'm', excludeGroup: 'muted'),
                ['sendToGroup', 'news', 'm', ['c2', 'c4'], false],
            ],
            'no option' => [
                fn (Gateway $g) => $g->sendToGroup('news', 'm', '', false, []),
                ['sendToGroup', 'news', 'm', [], false],
            ],
            'closing a uid' => [
                fn (Gateway $g) => $g->closeUid(['ann', 'bob'], ['type' => 'bye']),
                ['closeClient', 'c1', '{"type":"bye"}'],
                ['closeClient', 'c2', '{"type":"bye"}'],
                ['closeClient', 'c3', '{"type":"bye"}'],
            ],
            'closing a client' => [fn (Gateway $g) => $g->closeClient('c1'), ['closeClient', 'c1', null]],
        ];
    }

    /** A missing feature is no outage of the gateway, so it is thrown whatever `onError` says. */
    public function testTextOrBinaryIsBeyondIt(): void
    {
        OldClient::$calls = [];
        $gateway = new Gateway(['backend' => OldClient::class]);
        $sends = ['sendToAll' => ['m'], 'sendToUid' => ['ann', 'm'], 'sendToGroup' => ['g', 'm'], 'sendToClient' => ['c1', 'm']];
        foreach ($sends as $send => $arguments) {
            try {
                $gateway->$send(...$arguments, ...['binary' => false]);
                $this->fail("$send has sent");
            } catch (NotSupportedException $e) {
                $this->assertStringContainsString('can choose text or binary for one message', $e->getMessage());
            }
        }
        $this->assertSame([], OldClient::$calls);
    }

    public function testWhatTheExtensionAloneHasSaysSo(): void
    {
        OldClient::$calls = [];
        $gateway = new Gateway(['backend' => OldClient::class]);
        $calls = [
            'sendToUidCounted' => ['ann', 'm'], 'sendToGroupCounted' => ['news', 'm'], 'ask' => ['ann', 'm'],
            'deliverToUid' => ['ann', 'm'], 'receipt' => ['order-5'], 'inboxOf' => ['ann'], 'forget' => ['ann'],
        ];
        foreach ($calls as $call => $arguments) {
            try {
                $gateway->$call(...$arguments);
                $this->fail("$call has been called");
            } catch (NotSupportedException $e) {
                $this->assertSame("Only the extension gateway has $call(), and the HTTP API of the server.", $e->getMessage());
            }
        }
        $this->assertSame([], OldClient::$calls);
    }
}
