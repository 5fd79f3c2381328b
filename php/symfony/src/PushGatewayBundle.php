<?php

declare(strict_types=1);

namespace PushGateway\Symfony;

use Symfony\Component\HttpKernel\Bundle\Bundle;

/**
 * Makes `PushGateway\GatewayInterface` a service, by the settings below `push_gateway`, and a transport of Notifier where that
 * is there.
 */
final class PushGatewayBundle extends Bundle
{
}
