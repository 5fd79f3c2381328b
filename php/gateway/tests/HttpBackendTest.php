<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Backend\HttpBackend;
use PushGateway\Exception\CallFailed;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\Exception\UnsupportedCall;
use PushGateway\Http\Answer;
use PushGateway\Http\Transport;

final class HttpBackendTest extends TestCase
{
    /** @var list<array{string, mixed, float}> path, content and time of each request */
    private array $requests = [];

    /** @param list<string> $answers bodies, of which the last goes on */
    private function backend(array $answers, ?string $tokenKey = null, ?string $secretKey = null): HttpBackend
    {
        $transport = new class (function (string $path, string $json, float $timeout) use (&$answers): Answer {
            $this->requests[] = [$path, json_decode($json, true), $timeout];
            return new Answer(200, count($answers) > 1 ? (string) array_shift($answers) : $answers[0]);
        }) implements Transport {
            public function __construct(private readonly \Closure $answer)
            {
            }

            public function post(string $path, string $json, float $timeout): Answer
            {
                return ($this->answer)($path, $json, $timeout);
            }
        };

        return new HttpBackend($transport, 3.0, $tokenKey, $secretKey);
    }

    /**
     * @dataProvider calls
     * @param list<mixed> $arguments
     * @param array<string, mixed> $content
     */
    public function testACallIsARequest(
        string $method,
        array $arguments,
        string $path,
        array $content,
        string $answer,
        mixed $expected,
    ): void {
        $this->assertSame($expected, $this->backend(["{\"result\": $answer}"])->call($method, $arguments));
        $this->assertSame([["/api/$path", $content, $method === 'ask' ? 11.0 : 3.0]], $this->requests);
    }

    /** @return array<string, array{string, list<mixed>, string, array<string, mixed>, string, mixed}> */
    public static function calls(): array
    {
        $client = '7f00000104d6a3f1c2b4';

        return [
            'all options' => [
                'sendToAll', ['m', [3 => $client], $client, true, [1 => 7, 2 => 'news'], false], 'sendToAll',
                ['message' => 'm', 'client_id_array' => [$client], 'exclude_client_id' => $client, 'raw' => true,
                    'exclude_group' => [7, 'news'], 'binary' => false],
                'null', null,
            ],
            'no option' => ['sendToUid', [7, 'm', false, null, null, null], 'sendToUid',
                ['uid' => 7, 'message' => 'm', 'raw' => false], 'null', null],
            'a client' => ['sendToClient', [$client, 'm'], 'sendToClient',
                ['client_id' => $client, 'message' => 'm'], 'null', true],
            'a question' => ['ask', ['ann', 'm', 20], 'ask',
                ['client_id_or_uid' => 'ann', 'message' => 'm', 'timeout' => 8.0],
                "{\"$client\": null}", [$client => null]],
            'yes' => ['isOnline', [$client], 'isOnline', ['client_id' => $client], 'true', 1],
            'yes and no' => ['isUidsOnline', [['ann', 7]], 'isUidsOnline', ['uids' => ['ann', 7]], '{"ann": true, "7": false}',
                ['ann' => 1, 7 => 0]],
            'everybody' => ['getClientIdCountByGroup', [''], 'getAllClientIdCount', [], '3', 3],
            'everybody by default' => ['getClientCountByGroup', [], 'getAllClientIdCount', [], '3', 3],
            'a list' => ['getAllUidList', [], 'getAllUidList', [], '["ann", "7"]', ['ann' => 'ann', 7 => '7']],
            'lists' => ['getAllGroupUidList', [], 'getAllGroupUidList', [], '{"news": ["ann"]}',
                ['news' => ['ann' => 'ann']]],
            'uids of groups' => ['getUidCountByGroup', [['a', 'b']], 'getUidListByGroup',
                ['group' => ['a', 'b']], '["x", "y"]', 2],
            'sessions' => ['getAllClientSessions', [''], 'getAllClientSessions', [], '{}', []],
            'sessions of a group' => ['getAllClientSessions', ['a'], 'getClientSessionsByGroup', ['group' => 'a'], '{}', []],
            'a session' => ['setSession', [$client, ['a' => [1.0, []]]], 'setSession',
                ['client_id' => $client, 'session' => ['a' => [1.0, []]]], 'null', null],
            'a serialized one' => ['setSocketSession', [$client, 'a:1:{i:3;s:1:"x";}'], 'setSession',
                ['client_id' => $client, 'session' => [3 => 'x']], 'null', true],
            'nothing of a uid' => ['unbindUid', [$client, '-'], 'unbindUid', ['client_id' => $client], 'null', null],
        ];
    }

    public function testAnEmptySessionIsAnObject(): void
    {
        $json = '';
        $transport = $this->createMock(Transport::class);
        $transport->method('post')->willReturnCallback(function (string $path, string $sent) use (&$json): Answer {
            $json = $sent;
            return new Answer(200, '{"result": null}');
        });
        (new HttpBackend($transport))->call('setSession', ['7f00000104d6a3f1c2b4', []]);
        $this->assertStringContainsString('"session":{}', $json);
        (new HttpBackend($transport))->call('getAllUidCount', []);
        $this->assertSame('{}', $json);
    }

    public function testADeliveryHasOneIdForAllUids(): void
    {
        $backend = $this->backend(['{"results": [{"result": null}, {"result": null}]}']);
        $id = $backend->call('deliverToUid', [['ann', 0, '', 7, 'ann'], 'm', ['ttl' => 5, 'replace' => 3, 'binary' => null]]);
        $this->assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $id);
        $one = fn (string|int $uid) => ['operation' => 'deliverToUid', 'arguments' => [
            'uid' => $uid, 'message' => 'm', 'id' => $id, 'ttl' => 5, 'replace' => '3',
        ]];
        $this->assertEquals([['/api/batch', [$one('ann'), $one(7)], 3.0]], $this->requests);
    }

    public function testManyUidsAreSeveralRequests(): void
    {
        $batch = fn (int $many) => json_encode(['results' => array_fill(0, $many, ['result' => null])], JSON_THROW_ON_ERROR);
        $backend = $this->backend([$batch(1000), $batch(1)]);
        $this->assertSame('id', $backend->call('deliverToUid', [range(1, 1001), 'm', ['id' => 'id']]));
        $this->assertCount(2, $this->requests);
        $this->assertSame('id', $backend->call('deliverToUid', [['', 0], 'm', ['id' => 'id']]));
        $this->assertCount(2, $this->requests);
    }

    /** @dataProvider bad */
    public function testABadAnswerIsAFailure(string $method, string $answer, string $complaint, int $kind): void
    {
        $arguments = ['deliverToUid' => ['ann', 'm'], 'isOnline' => ['7f00000104d6a3f1c2b4']];
        $this->expectException(CallFailed::class);
        $this->expectExceptionCode($kind);
        $this->expectExceptionMessage($complaint);
        $this->backend([$answer])->call($method, $arguments[$method]);
    }

    /** @return array<string, array{string, string, string, int}> */
    public static function bad(): array
    {
        return [
            'an error' => ['isOnline', '{"error": {"code": "busy", "message": "ask later"}}', 'isOnline: ask later (busy)', 3],
            'a token' => ['isOnline', '{"error": {"code": "unauthorized", "message": "no"}}', 'isOnline: no (unauthorized)', 3],
            'a time' => ['isOnline', '{"error": {"code": "timeout", "message": "late"}}', 'isOnline: late (timeout)', 2],
            'another error' => ['isOnline', '{"error": {"code": "new", "message": "x"}}', 'isOnline: x (new)', 0],
            'a page' => ['isOnline', "<html>\n\x01 of a proxy", "gateway-server's HTTP API: <html>  of a proxy", 5],
            'nothing' => ['isOnline', '', "is not that of gateway-server's HTTP API", 5],
            'another service' => ['isOnline', '{"ok": true}', "is not that of gateway-server's HTTP API", 5],
            'a list' => ['isOnline', '[1]', "is not that of gateway-server's HTTP API", 5],
            'one of several' => ['deliverToUid', '{"results": [{"error": {"code": "refused", "message": "full"}}]}',
                'deliverToUid: full (refused)', 3],
            'all of several' => ['deliverToUid', '{"error": {"code": "invalid", "message": "no"}}',
                'deliverToUid: no (invalid)', 4],
            'fewer' => ['deliverToUid', '{"results": []}', "is not that of gateway-server", 5],
        ];
    }

    /** @dataProvider unsendable */
    public function testWhatCannotBeSaidIsNotSent(string $method, mixed ...$arguments): void
    {
        try {
            $this->backend(['{"result": null}'])->call($method, $arguments);
            $this->fail('it was sent');
        } catch (CallFailed | UnsupportedCall | InvalidConfiguration $e) {
            $this->assertNotSame('', $e->getMessage());
            $this->assertSame($e instanceof CallFailed ? CallFailed::ARGUMENT : 0, $e->getCode());
        }
        $this->assertSame([], $this->requests);
    }

    /** @return array<string, list<mixed>> */
    public static function unsendable(): array
    {
        return [
            'no text' => ['sendToAll', "\xff"],
            'an option' => ['deliverToUid', 'ann', 'm', ['tll' => 5]],
            'an id' => ['deliverToUid', 'ann', 'm', ['id' => 1.5]],
            'an object' => ['setSocketSession', '7f00000104d6a3f1c2b4', 'O:8:"stdClass":0:{}'],
            'an object in an array' => ['setSocketSession', '7f00000104d6a3f1c2b4', 'a:1:{i:0;O:8:"stdClass":0:{}}'],
            'an object in a session' => ['setSession', '7f00000104d6a3f1c2b4', ['a' => ['b' => new \DateTimeImmutable()]]],
            'an object in a change' => ['updateSession', '7f00000104d6a3f1c2b4', ['a' => new \stdClass()]],
            'no session' => ['setSocketSession', '7f00000104d6a3f1c2b4', 'nonsense'],
            'the current client' => ['sendToCurrentClient', 'm'],
            'counts of calls' => ['stats'],
            'a token without a key' => ['token', 'ann'],
        ];
    }

    public function testAServerThatIsReplacedIsAskedAgain(): void
    {
        $replaced = '{"error": {"code": "replaced", "message": "ask again"}}';
        $this->assertSame(5, $this->backend([$replaced, $replaced, '{"result": 5}'])->call('getAllUidCount', []));
        $this->assertCount(3, $this->requests);
        $this->requests = [];
        try {
            $this->backend([$replaced])->call('getAllUidCount', []);
            $this->fail('it was answered');
        } catch (CallFailed $e) {
            $this->assertSame('getAllUidCount: ask again (replaced)', $e->getMessage());
        }
        $this->assertCount(8, $this->requests);
    }

    public function testAProofIsCompared(): void
    {
        $client = '7f00000104d6a3f1c2b4';
        $this->assertTrue($this->backend(['{"result": "abc"}'])->call('isClientProof', [$client, 'abc']));
        $this->assertFalse($this->backend(['{"result": "abc"}'])->call('isClientProof', [$client, 'abd']));
        $this->assertFalse($this->backend(['{"result": null}'])->call('isClientProof', [$client, '']));
        $this->requests = [];
        foreach ([[$client, null], [[$client], 'abc'], ["$client\n", 'abc'], ['', '']] as $posted) {
            $this->assertFalse($this->backend(['{"result": "abc"}'])->call('isClientProof', $posted));
        }
        $this->assertSame([], $this->requests);
    }

    public function testWhatIsThereIsSaid(): void
    {
        $backend = $this->backend(['']);
        foreach (['sendToUid', 'getAllClientInfo', 'flush', 'token', 'deliverToUid'] as $method) {
            $this->assertTrue($backend->has($method), $method);
        }
        $this->assertFalse($backend->has('sendToCurrentClient'));
        $this->assertFalse($backend->has('PARAMETERS'));
    }
}
