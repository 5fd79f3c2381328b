<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use GatewayClient\Gateway;
use PHPUnit\Framework\TestCase;
use PushGateway\Exception\CallFailed;
use PushGateway\Exception\UnsupportedCall;
use PushGateway\GatewayClientGateway;
use PushGateway\GatewayFactory;

/**
 * The way by workerman/gatewayclient, for which a class of the same name stands. Other tests are to find no such class.
 *
 * @runTestsInSeparateProcesses
 * @preserveGlobalState disabled
 */
#[\PHPUnit\Framework\Attributes\RunTestsInSeparateProcesses]
#[\PHPUnit\Framework\Attributes\PreserveGlobalState(false)]
final class GatewayClientTest extends TestCase
{
    protected function setUp(): void
    {
        require_once __DIR__ . '/gatewayclient.php';
    }

    public function testADsnSaysWhereTheRegisterIs(): void
    {
        $addresses = [
            'gatewayclient://127.0.0.1:2000' => '127.0.0.1:2000',
            'gatewayclient://a:1,b:2' => ['a:1', 'b:2'],
            'gatewayclient:///run/gateway.sock' => 'unix:///run/gateway.sock',
            'gatewayclient://s%40cret@[::1]:2000?connectTimeout=0.5' => '[::1]:2000',
            'gatewayclient://default' => '127.0.0.1:1236',
        ];
        if (!extension_loaded('gateway')) {
            $addresses['gateways://push.example.com:1238'] = 'tls://push.example.com:1238';
            $addresses['gateway://127.0.0.1:2000'] = '127.0.0.1:2000';
        }
        foreach ($addresses as $dsn => $address) {
            $gateway = GatewayFactory::create($dsn);
            $this->assertInstanceOf(GatewayClientGateway::class, $gateway);
            $gateway->sendToAll('m');
            $this->assertSame($address, Gateway::$registerAddress, $dsn);
            $isFull = str_contains($dsn, '@');
            $this->assertSame($isFull ? ['s@cret', 0.5] : ['', 3], [Gateway::$secretKey, Gateway::$connectTimeout]);
        }
    }

    public function testWhatItLacksIsDoneByOtherCallsOrRefused(): void
    {
        $gateway = new GatewayClientGateway(tokenKey: 'key');
        $gateway->sendToUid('ann', ['n' => 1], exclude: 'C1', excludeGroup: 'muted');
        $gateway->sendToClient('c1', 'raw', raw: true);
        $gateway->destroyClient('c1');
        $gateway->closeUid('ann', 'bye');
        $this->assertSame([
            ['sendToAll', '{"n":1}', ['c3'], null, false],
            ['sendToAll', 'raw', ['c1'], null, true],
            ['destoryClient', 'c1'],
            ['closeClient', 'c1', 'bye'], ['closeClient', 'c2', 'bye'], ['closeClient', 'c3', 'bye'],
        ], Gateway::$calls);
        $this->assertSame([true, 3], [$gateway->flush(), count(explode('.', $gateway->token('ann')))]);
        $refused = [
            fn () => $gateway->sendToUid('ann', 'm', binary: true), fn () => $gateway->ask('ann', 'm'),
            fn () => $gateway->isClientProof('c1', 'x'), fn () => $gateway->getSession('c1'),
        ];
        foreach ($refused as $at => $call) {
            try {
                $call();
            } catch (UnsupportedCall) {
                continue;
            }
            $this->fail("call $at was made");
        }
        $this->assertCount(6, Gateway::$calls);
    }

    /** What GatewayClient answers for all groups at once ends at the first client without a uid. */
    public function testEachGroupIsAskedByItself(): void
    {
        $gateway = new GatewayClientGateway();
        $this->assertSame(['muted' => ['ann']], $gateway->getAllGroupUidList());
        $this->assertSame(['muted' => 1], $gateway->getAllGroupUidCount());
        $this->assertSame(['muted' => ['c2', 'c4']], $gateway->getAllGroupClientIdList());
        $this->assertSame(['muted' => 2], $gateway->getAllGroupClientIdCount());
    }

    public function testWhatItThrowsIsAFailedCall(): void
    {
        $this->expectException(CallFailed::class);
        $this->expectExceptionMessage('isOnline: can not connect to tcp://127.0.0.1:1236');
        (new GatewayClientGateway())->isOnline('c1');
    }
}
