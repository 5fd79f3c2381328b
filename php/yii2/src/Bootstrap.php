<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use PushGateway\GatewayInterface;
use PushGateway\Yii2\console\GatewayController;
use PushGateway\Yii2\debug\GatewayPanel;
use Yii;
use yii\base\Application;
use yii\base\BootstrapInterface;
use yii\base\Module;

/**
 * Adds the commands `yii gateway/…` to console applications, the panel to the debugger where there is one, and the component to
 * Yii's container as `PushGateway\GatewayInterface`. Yii's composer plugin runs it. Without the plugin name it in the
 * application's `bootstrap`, before the debugger.
 */
class Bootstrap implements BootstrapInterface
{
    private const ID = 'gateway';

    public function bootstrap($app): void
    {
        if (!Yii::$container->has(GatewayInterface::class)) {
            Yii::$container->setSingleton(GatewayInterface::class, fn (): ComponentGateway => new ComponentGateway());
        }
        if ($app instanceof \yii\console\Application) {
            $app->controllerMap[self::ID] ??= GatewayController::class;
        }
        if (class_exists(\yii\debug\Module::class)) {
            /** @var array<string|int, Module|array<string, mixed>|string> $modules */
            $modules = $app->getModules();
            foreach ($modules as $id => $module) {
                $this->addPanel($app, (string) $id, $module);
            }
        }
    }

    /** @param Module|array<string, mixed>|string $module the module's configuration before it is used, then the module */
    private function addPanel(Application $app, string $id, Module|array|string $module): void
    {
        if ($module instanceof \yii\debug\Module) {
            $module->panels[self::ID] ??= Yii::createObject(
                ['class' => GatewayPanel::class, 'id' => self::ID, 'module' => $module]
            );
            return;
        }
        if ($module instanceof Module) {
            return;
        }
        $config = is_string($module) ? ['class' => $module] : $module;
        $class = $config['class'] ?? null;
        if (is_string($class) && is_a($class, \yii\debug\Module::class, true)) {
            // The application's own setting for this panel stays, also false, which means no panel.
            $config['panels'] = (array) ($config['panels'] ?? []) + [self::ID => GatewayPanel::class];
            $app->setModule($id, $config);
        }
    }
}
