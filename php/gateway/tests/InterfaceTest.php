<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\GatewayInterface;

final class InterfaceTest extends TestCase
{
    /**
     * The methods of class Gateway that a service has no use for: other names, the current client, and what belongs to a
     * process.
     */
    private const LEFT_OUT = [
        'getAllClientCount', 'getClientCountByGroup', 'destoryClient', 'getAllClientInfo', 'getClientInfoByGroup',
        'setSocketSession',
        'sendToCurrentClient', 'closeCurrentClient', 'destroyCurrentClient', 'destoryCurrentClient', 'setBusinessWorker',
        'lastError', 'later', 'stats',
    ];

    public function testEveryMethodOfTheClassIsThere(): void
    {
        $package = dirname(__DIR__);
        foreach (["$package/vendor/push-gateway/gateway-stubs", "$package/../stubs", "$package/../gateway-stubs"] as $folder) {
            if (is_file("$folder/gateway.stub.php")) {
                $stub = (string) file_get_contents("$folder/gateway.stub.php");
            }
        }
        $this->assertTrue(isset($stub), 'gateway-stubs is neither in vendor nor beside this package');
        [$class] = explode("\nclass GatewayEvents", $stub);
        preg_match_all('/^    public static function (\w+)\(/m', $class, $found);
        $of_class = array_values(array_diff($found[1], self::LEFT_OUT));
        $here = array_map(fn ($method) => $method->getName(), (new \ReflectionClass(GatewayInterface::class))->getMethods());
        sort($of_class);
        sort($here);
        $this->assertSame($of_class, $here);
        $this->assertSame([], array_diff(self::LEFT_OUT, $found[1]));
    }
}
